/* check: what names, globs, addresses and URLs must look like. Each returns NULL for a good text,
 * else the rest of a sentence that begins with the text ("must start with http:// or https://"). */
#ifndef REPL_CONF_CHECK_H
#define REPL_CONF_CHECK_H

const char *check_endpoint_name(const char *text);
const char *check_rule_name(const char *text);
const char *check_instance(const char *text);
const char *check_bucket(const char *text);
const char *check_url_path(const char *text);
const char *check_variable(const char *text);
const char *check_url(const char *text);
const char *check_queue_url(const char *text);
const char *check_region(const char *text);
const char *check_path(const char *text);
const char *check_listen(const char *text);
const char *check_group(const char *text);
const char *check_glob(const char *text);
const char *check_word(const char *text);
const char *check_congestion(const char *text);
const char *check_prefix_of_env(const char *text);
/* An URL with path and query, where something is sent to. */
const char *check_post_url(const char *text);
const char *check_event_kind(const char *text);

#endif
