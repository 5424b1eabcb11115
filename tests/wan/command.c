#include "tests/wan/wan.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#define COMMAND_MAX 1024
#define BLANKS      " \n"

enum kind { NUMBER, SHARE, TIME, RATE, SIZE };

static const struct unit {
    const char *name;
    enum kind kind;
    double factor;
} units[] = {
    {"", NUMBER, 1},     {"%", SHARE, 0.01},     {"us", TIME, 1e3},   {"ms", TIME, 1e6},
    {"s", TIME, 1e9},    {"bit", RATE, 1},       {"kbit", RATE, 1e3}, {"mbit", RATE, 1e6},
    {"gbit", RATE, 1e9}, {"b", SIZE, 1},         {"kb", SIZE, 1e3},   {"mb", SIZE, 1e6},
    {"kib", SIZE, 1024}, {"mib", SIZE, 1048576},
};

/* A name that stands here twice is either of the two; setting one clears the other. */
static const struct field {
    const char *name;
    enum kind kind;
    const char *member;
    size_t offset;
    double max;
} fields[] = {
#define MEMBER(name) #name, offsetof(struct link_settings, name)
    {"rate", RATE, MEMBER(rate_bps), 100e9},    {"queue", TIME, MEMBER(queue_ns), 100e9},
    {"queue", SIZE, MEMBER(queue_bytes), 1e9},  {"delay", TIME, MEMBER(delay_ns), 100e9},
    {"jitter", TIME, MEMBER(jitter_ns), 100e9}, {"loss", SHARE, MEMBER(loss), 1},
    {"burst", NUMBER, MEMBER(burst), 1e6},      {"policer", RATE, MEMBER(policer_bps), 100e9},
    {"bucket", TIME, MEMBER(bucket_ns), 100e9}, {"bucket", SIZE, MEMBER(bucket_bytes), 1e9},
#undef MEMBER
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool read_value(const char *text, double *ret_value, enum kind *ret_kind)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || !(number >= 0)) {
        return false;
    }
    for (size_t i = 0; i < COUNT(units); i++) {
        if (strcasecmp(end, units[i].name) == 0) {
            *ret_value = number * units[i].factor;
            *ret_kind = units[i].kind;
            return true;
        }
    }
    return false;
}

static double *member_of(struct link_settings *settings, const struct field *field)
{
    return (double *)(void *)((char *)settings + field->offset);
}

/* One KEY=VALUE; a bare 0 has every unit. */
static bool read_setting(struct link_settings *settings, char *text)
{
    char *equals = strchr(text, '=');
    double value;
    enum kind kind;
    bool is_set = false;
    if (equals == NULL || !read_value(equals + 1, &value, &kind)) {
        return false;
    }
    *equals = '\0';
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (strcmp(text, fields[i].name) != 0) {
            continue;
        }
        bool is_meant = fields[i].kind == kind || (value <= 0 && kind == NUMBER);
        *member_of(settings, &fields[i]) = is_meant ? value : 0;
        is_set = is_set || (is_meant && value <= fields[i].max);
    }
    *equals = '=';
    return is_set;
}

/* "up", "down" or "both", the last one also when the word is something else. */
static bool is_way(const char *word, int way)
{
    return word == NULL || (strcmp(word, "up") != 0 && strcmp(word, "down") != 0) ||
           strcmp(word, way == WAN_UP ? "up" : "down") == 0;
}

static bool names_way(const char *word)
{
    return word != NULL &&
           (strcmp(word, "up") == 0 || strcmp(word, "down") == 0 || strcmp(word, "both") == 0);
}

/* Returns the word that is wrong, NULL when all was good. */
static const char *set(struct wan *wan, char **rest, int64_t now_ns)
{
    struct link_settings settings[WAN_WAYS];
    char *word = strtok_r(NULL, BLANKS, rest), *where = names_way(word) ? word : NULL;
    if (where != NULL) {
        word = strtok_r(NULL, BLANKS, rest);
    }
    for (int i = 0; i < WAN_WAYS; i++) {
        settings[i] = wan->ways[i].link.settings;
    }
    for (; word != NULL; word = strtok_r(NULL, BLANKS, rest)) {
        for (int i = 0; i < WAN_WAYS; i++) {
            if (is_way(where, i) && !read_setting(&settings[i], word)) {
                return word;
            }
        }
    }
    for (int i = 0; i < WAN_WAYS; i++) {
        link_set(&wan->ways[i].link, &settings[i], now_ns);
    }
    return NULL;
}

static const char *outage(struct wan *wan, char **rest, int64_t now_ns)
{
    char *word = strtok_r(NULL, BLANKS, rest), *where = names_way(word) ? word : NULL;
    double value;
    enum kind kind;
    if (where != NULL) {
        word = strtok_r(NULL, BLANKS, rest);
    }
    if (word == NULL || !read_value(word, &value, &kind) || value > 1e15 ||
        !(kind == TIME || (kind == NUMBER && value <= 0)) || strtok_r(NULL, BLANKS, rest) != NULL) {
        return word != NULL ? word : "(no duration)";
    }
    for (int i = 0; i < WAN_WAYS; i++) {
        if (is_way(where, i)) {
            wan->ways[i].link.outage_ns = now_ns + (int64_t)value;
        }
    }
    return NULL;
}

static void print_way(struct way *way, int64_t now_ns, FILE *out)
{
    struct link *link = &way->link;
    uint64_t passed = link->counts[LINK_passed].packets;
    fprintf(out, "\"%s\": {", way->name);
    for (int fate = 0; fate < LINK_FATE_COUNT; fate++) {
        fprintf(out, "\"%s\": {\"packets\": %ju, \"bytes\": %ju}, ",
                link_fate_name((enum link_fate)fate), (uintmax_t)link->counts[fate].packets,
                (uintmax_t)link->counts[fate].bytes);
    }
    fputs("\"settings\": {", out);
    for (size_t i = 0; i < COUNT(fields); i++) {
        fprintf(out, "%s\"%s\": %.10g", i > 0 ? ", " : "", fields[i].member,
                *member_of(&link->settings, &fields[i]));
    }
    fprintf(out,
            "}, \"refused\": %ju, \"under_way\": %zu, \"queue_ms\": %.3f, \"late_ms_mean\": %.3f, "
            "\"late_ms_max\": %.3f}, ",
            (uintmax_t)way->refused, way->line.count, (double)link_queue_ns(link, now_ns) / 1e6,
            passed > 0 ? (double)way->sum_late_ns / (double)passed / 1e6 : 0,
            (double)way->late_ns / 1e6);
}

static void print_stats(struct wan *wan, int64_t now_ns, FILE *out)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    fputs("{", out);
    for (int i = 0; i < WAN_WAYS; i++) {
        print_way(&wan->ways[i], now_ns, out);
        wan->ways[i].late_ns = 0;
    }
    fprintf(out, "\"cpu_s\": %.3f, \"time_s\": %.3f}\n",
            (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
            (double)(now_ns - wan->start_ns) / 1e9);
}

void wan_command(struct wan *wan, const char *command, int64_t now_ns, FILE *answer)
{
    char text[COMMAND_MAX], *rest = NULL;
    snprintf(text, sizeof(text), "%s", command);
    const char *verb = strtok_r(text, BLANKS, &rest), *wrong = NULL;
    if (verb == NULL || strlen(command) >= sizeof(text)) {
        wrong = "(empty or too long)";
    } else if (strcmp(verb, "set") == 0) {
        wrong = set(wan, &rest, now_ns);
    } else if (strcmp(verb, "outage") == 0) {
        wrong = outage(wan, &rest, now_ns);
    } else if (strcmp(verb, "stats") == 0) {
        print_stats(wan, now_ns, answer);
        return;
    } else {
        wrong = verb;
    }
    if (wrong == NULL) {
        fputs("{}\n", answer);
    } else {
        fprintf(answer, "{\"error\": \"not understood: %s\"}\n", wrong);
    }
}
