/* line: the packets that are under way in one direction, in the order of their arrival. A ring of
 * bytes: packets are read into it and written from it, and never copied. */
#ifndef WAN_LINE_H
#define WAN_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct line {
    uint8_t *base;
    size_t size;
    size_t head; /* of the oldest packet */
    size_t tail; /* where the next one goes */
    size_t end;  /* the packets above tail end here; size when there are none */
    size_t count;
};

/* False when there is no memory; it is touched only as far as it is used. */
bool line_init(struct line *line, size_t size);
/* Room for one packet of up to max bytes; NULL when the ring is full. It is valid until the next
 * call, and stays free unless line_push() follows. */
void *line_room(struct line *line, size_t max);
/* The packet that was put into line_room() is under way until due_ns. */
void line_push(struct line *line, size_t bytes, int64_t due_ns);
/* The oldest packet and when it is due; NULL when there is none. */
void *line_first(const struct line *line, size_t *ret_bytes, int64_t *ret_due_ns);
void line_pop(struct line *line);

#endif
