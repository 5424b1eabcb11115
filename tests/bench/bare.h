/* bare: what the machine gives without a journal of ours, to compare it with. What fails ends the
 * program with a message; what is measured returns the seconds that it took. */
#ifndef REPL_BENCH_BARE_H
#define REPL_BENCH_BARE_H

#include <stddef.h>
#include <stdint.h>

/* From now on every fdatasync() of the program, SQLite's too, takes at least so long: as on a disk
 * that is slower than this machine's. */
void bare_slow_syncs(double seconds);

/* `count` times a small write to a file of a settled size, each with fdatasync(). */
double bare_syncs(const char *path, size_t count);

/* `count` transactions of `size` new tasks each, by one prepared statement of plain SQLite with the
 * journal's pragmas, into a database that the journal has made. */
double bare_inserts(const char *path, size_t count, size_t size, uint64_t seed);

#endif
