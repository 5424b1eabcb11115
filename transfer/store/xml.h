/* xml: answers of object stores, read by expat. No DTD, no entities of the document's own, bounded
 * depth and text; an answer whose root is not closed is an error. */
#ifndef REPL_STORE_XML_H
#define REPL_STORE_XML_H

#include "daemon/base/buf.h"
#include "daemon/base/mem.h"

/* path: element names from the root, joined by '/': "ListBucketResult/Contents/Key". text: what
 * stood directly in the element, a view. start() comes before its children, end() after them. */
struct xml_handler {
    void (*start)(void *arg, const char *path);
    void (*end)(void *arg, const char *path, struct span text);
};

/* 0 or REPL_EPROTO. */
int xml_parse(struct span document, const struct xml_handler *handler, void *arg);
/* <tag>text</tag> with what must be escaped. */
void xml_element(struct buf *to, const char *tag, struct span text);
/* Whether XML 1.0 can carry these bytes at all. */
bool xml_can_carry(struct span text);

/* The usual error document. */
struct xml_error {
    char code[64];
    char message[256];
    char request_id[72];
    char region[64];
};
/* False when the document is no error document; *ret is zeroed then. */
bool xml_read_error(struct span document, struct xml_error *ret);

#endif
