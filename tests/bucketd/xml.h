/* xml: writes the answers and reads the small documents that clients send. */
#ifndef BUCKETD_XML_H
#define BUCKETD_XML_H

#include "daemon/base/buf.h"
#include "daemon/base/mem.h"

#define XML_HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define XML_NS   " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

void xml_text(struct buf *out, struct span text);
/* <name>text</name> */
void xml_element(struct buf *out, const char *name, struct span text);
void xml_number(struct buf *out, const char *name, unsigned long long number);

/* An element without children. Leaves of one parent have the same parent number, which is higher
 * for later parents. */
struct xml_leaf {
    unsigned parent;
    const char *name;
    struct span text;
};

struct xml_leaves {
    struct xml_leaf *items;
    size_t count;
};

/* False when the text is no XML document with this root element. All memory is the arena's. */
bool xml_parse(struct arena *a, struct span text, const char *root, struct xml_leaves *ret_leaves);

#endif
