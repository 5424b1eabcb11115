#include "tests/wan/line.h"

#include <sys/mman.h>

struct record {
    int64_t due_ns;
    uint64_t bytes;
    uint8_t data[];
};

static size_t record_size(size_t bytes)
{
    return (sizeof(struct record) + bytes + 15) & ~(size_t)15;
}

static struct record *record_at(const struct line *line, size_t at)
{
    return (struct record *)(void *)(line->base + at);
}

bool line_init(struct line *line, size_t size)
{
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *line = (struct line){.base = base, .size = size, .end = size};
    return base != MAP_FAILED;
}

void *line_room(struct line *line, size_t max)
{
    size_t need = record_size(max);
    if (line->count == 0) { /* stay in the part of the memory that is warm */
        line->head = line->tail = 0;
        line->end = line->size;
    }
    bool is_wrapped = line->tail < line->head;
    if (!is_wrapped && line->size - line->tail < need) {
        if (line->head <= need) {
            return NULL;
        }
        line->end = line->tail;
        line->tail = 0;
    } else if (is_wrapped && line->head - line->tail <= need) {
        return NULL;
    }
    return record_at(line, line->tail)->data;
}

void line_push(struct line *line, size_t bytes, int64_t due_ns)
{
    struct record *record = record_at(line, line->tail);
    record->due_ns = due_ns;
    record->bytes = bytes;
    line->tail += record_size(bytes);
    line->count++;
}

void *line_first(const struct line *line, size_t *ret_bytes, int64_t *ret_due_ns)
{
    if (line->count == 0) {
        return NULL;
    }
    struct record *record = record_at(line, line->head);
    *ret_bytes = record->bytes;
    *ret_due_ns = record->due_ns;
    return record->data;
}

void line_pop(struct line *line)
{
    line->head += record_size(record_at(line, line->head)->bytes);
    line->count--;
    if (line->head == line->end) {
        line->head = 0;
        line->end = line->size;
    }
}
