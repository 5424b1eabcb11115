#include "daemon/base/near.h"

#include <string.h>

#define FAR 64 /* also the longest word, with its end */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t near_distance(const char *a, const char *b)
{
    size_t row[FAR];
    size_t m = strlen(b);
    if (m >= FAR || strlen(a) >= FAR) {
        return FAR;
    }
    for (size_t j = 0; j <= m; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t cost = corner + (a[i - 1] == b[j - 1] ? 0 : 1);
            corner = row[j];
            row[j] = least(cost, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[m];
}

void near_start(struct near *n, const char *written, size_t within)
{
    size_t len = strlen(written);
    *n = (struct near){.written = written, .within = least(within, len > 0 ? len - 1 : 0)};
}

void near_offer(struct near *n, const char *name)
{
    size_t distance = near_distance(n->written, name);
    if (distance < n->within || (n->best == NULL && distance == n->within)) {
        n->within = distance;
        n->best = name;
    }
}

void near_hint(const struct near *n, const char *otherwise, struct fail *f)
{
    if (n->best != NULL) {
        fail_hint(f, "did you mean \"%s\"? %s", n->best, otherwise);
    } else {
        fail_hint(f, "%s", otherwise);
    }
}
