/* folder: where a test keeps its files. */
#ifndef REPL_TESTS_FOLDER_H
#define REPL_TESTS_FOLDER_H

#include <stddef.h>

/* Makes a folder of its own and writes its path: in memory where there is room for it, as journals
 * sync with every commit and nothing here outlives a loss of power. The caller removes it. */
void test_folder(char *ret_path, size_t size);

#endif
