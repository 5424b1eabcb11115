#include "tests/bucketd/body.h"

#include "daemon/base/mem.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Not a power of two, so that the parts of one object differ from each other. */
#define PATTERN_BYTES ((size_t)4096 * 257)

static struct body *new_body(char *data, size_t size, bool mapped)
{
    struct body *body = MEM_NEW(struct body);
    atomic_init(&body->refs, 1);
    body->data = data;
    body->size = size;
    body->mapped = mapped;
    return body;
}

struct body *body_new(size_t size)
{
    char *data = malloc(size ? size : 1);
    if (data == NULL) {
        abort();
    }
    return new_body(data, size, false);
}

static struct body *map_file(int fd, const char *path, size_t size)
{
    if (size == 0) {
        close(fd);
        struct body *empty = body_new(0);
        empty->path = mem_strdup(path);
        return empty;
    }
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (data == MAP_FAILED) {
        return NULL;
    }
    struct body *body = new_body(data, size, true);
    body->path = mem_strdup(path);
    return body;
}

struct body *body_create_file(const char *path, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return NULL;
    }
    /* Space is reserved now: a full disk behind a mapping would be a SIGBUS. */
    if (size > 0 && posix_fallocate(fd, 0, (off_t)size) != 0) {
        close(fd);
        unlink(path);
        return NULL;
    }
    return map_file(fd, path, size);
}

struct body *body_open_file(const char *path, size_t size)
{
    struct stat info;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &info) != 0 || (size_t)info.st_size != size) {
        close(fd);
        return NULL;
    }
    struct body *body = map_file(fd, path, size);
    if (body != NULL) {
        atomic_store(&body->keep, true);
    }
    return body;
}

static int pattern_file(void)
{
    static const uint64_t step = 0x9E3779B97F4A7C15U;
    uint64_t *block = mem_alloc(PATTERN_BYTES);
    for (size_t i = 0; i < PATTERN_BYTES / sizeof(*block); i++) {
        uint64_t x = (i + 1) * step;
        x = (x ^ (x >> 31)) * 0xBF58476D1CE4E5B9U;
        block[i] = x ^ (x >> 29);
    }
    int fd = memfd_create("pattern", MFD_CLOEXEC);
    if (fd < 0 || write(fd, block, PATTERN_BYTES) != (ssize_t)PATTERN_BYTES) {
        abort();
    }
    mem_free(block);
    return fd;
}

struct body *body_new_pattern(size_t size)
{
    if (size == 0) {
        return body_new(0);
    }
    char *data = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
        return NULL;
    }
    int fd = pattern_file();
    for (size_t at = 0; at < size; at += PATTERN_BYTES) {
        size_t len = size - at < PATTERN_BYTES ? size - at : PATTERN_BYTES;
        if (mmap(data + at, len, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
            munmap(data, size);
            close(fd);
            return NULL;
        }
    }
    close(fd);
    return new_body(data, size, true);
}

struct body *body_ref(struct body *body)
{
    atomic_fetch_add(&body->refs, 1);
    return body;
}

void body_unref(struct body *body)
{
    if (body == NULL || atomic_fetch_sub(&body->refs, 1) != 1) {
        return;
    }
    if (body->mapped) {
        munmap(body->data, body->size);
    } else {
        free(body->data);
    }
    if (body->path != NULL && !atomic_load(&body->keep)) {
        unlink(body->path);
    }
    mem_free(body->path);
    mem_free(body);
}
