/* scan_split: where to cut a range of keys in two, knowing only the keys listed so far. S3 lists in
 * the order of bytes and can begin anywhere, so every cut is right; a good one has as many keys on
 * either side. It is guessed from the characters that keys have been seen to be made of: keys are
 * read as numbers in a system with these digits, and the middle of two numbers is a key again.
 * Pure.
 */
#ifndef REPL_FEEDS_SCAN_SPLIT_H
#define REPL_FEEDS_SCAN_SPLIT_H

#include "daemon/base/buf.h"
#include "journal/change.h"

#include <stdbool.h>
#include <stdint.h>

#define SPLIT_CHARS_MAX 512 /* of an alphabet; what comes later is not learned */

/* Characters: code points, and bytes that belong to none as 0x110000 + byte. */
struct split_alphabet {
    uint32_t chars[SPLIT_CHARS_MAX]; /* ascending */
    size_t count;
};

/* Adds the characters of a key behind its first `skip` bytes. */
void split_learn(struct split_alphabet *a, struct span key, size_t skip);

struct split {
    struct span prefix; /* all keys begin so */
    struct span first;  /* of the page listed last */
    struct span last;   /* of it: the range goes on behind this key … */
    struct span until;  /* … up to this one, included; absent: to the end */
    bool by_digits;     /* of the two ways to guess, which alternate */
};

/* A key with last < key, and key < until where there is one: false when none was found. It is
 * valid UTF-8 when the keys are. */
bool split_pivot(const struct split_alphabet *a, const struct split *s, char to[CHANGE_KEY_MAX],
                 size_t *ret_len);

#endif
