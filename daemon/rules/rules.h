/* rules: which rules a change belongs to, and where its object goes. Pure: no I/O, no clock. */
#ifndef REPL_RULES_RULES_H
#define REPL_RULES_RULES_H

#include "daemon/conf/conf.h"
#include "daemon/conf/rule.h"
#include "journal/change.h"

/* Keys below this bucket-level prefix are ours and match no rule. */
#define RULES_RESERVED_PREFIX "_repl/"

/* A glob on bytes: ? one byte but '/', * any but '/', ** any, [a-z] [!a-z] classes, \ quotes. */
bool rules_glob(struct span pattern, struct span text);

/* Whether the rule takes this key of its source bucket (prefix, include, exclude; reserved, there
 * or at the destination). */
bool rules_takes_key(const struct rule *rule, struct span key);
/* Whether `now` may take keys that `before` did not, by their patterns: true where it is not plain
 * that it does not. */
bool rules_takes_more(const struct rule *now, const struct rule *before);
/* Whether the change is of the rule's source and key; an absent endpoint is any. */
bool rules_matches(const struct rule *rule, const struct change *change);
/* Whether the rule's source is the change's bucket and endpoint, whatever the key. */
bool rules_has_source(const struct rule *rule, const struct change *change);
/* Destination key: the source prefix replaced by the destination prefix. */
struct span rules_map_key(const struct rule *rule, struct span key, struct arena *a);

/* Two rules may not write the same destination keys: REPL_ECONFLICT naming the other rule, also
 * when a rule's destination lies in its own source. Two endpoints of the configuration with one URL
 * are the same place. */
int rules_check_overlap(const struct rule *rule, const struct rule *others, size_t count,
                        const struct conf *conf, struct fail *f);

/* Whether each one's source is the other's destination. */
bool rules_is_mirror(const struct rule *a, const struct rule *b, const struct conf *conf);
/* Rules must not lead in a circle: what one brings another would carry on, for ever. Two rules that
 * are each other's exact mirror may, when both say two_way, which needs the marker: REPL_ECONFLICT
 * naming the other rule. */
int rules_check_circle(const struct rule *rule, const struct rule *others, size_t count,
                       const struct conf *conf, struct fail *f);

#endif
