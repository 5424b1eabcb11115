/* folder: where a test keeps its files. */
#ifndef REPL_TESTS_FOLDER_H
#define REPL_TESTS_FOLDER_H

#include <stddef.h>

/* Makes a folder of its own and writes its path: in the folder that REPL_FOLDER names, or in /tmp.
 * The caller removes it. */
void test_folder(char *ret_path, size_t size);

#endif
