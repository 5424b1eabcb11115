/* replay: main() of the fuzz targets in builds without libFuzzer. Feeds every file named, and every
 * file of the directories named, to the target; arguments that begin with '-' are libFuzzer's. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void die(const char *path)
{
    perror(path);
    exit(1);
}

/* The memory is exactly as long as the file, so that the address sanitizer sees each step beyond.
 */
static void feed(const char *path, size_t size)
{
    uint8_t *data = malloc(size > 0 ? size : 1);
    FILE *file = fopen(path, "rb");
    if (file == NULL || data == NULL || fread(data, 1, size, file) != size) {
        die(path);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

/* Returns how many files were fed. */
static unsigned replay(const char *path)
{
    struct stat st;
    unsigned count = 0;
    if (stat(path, &st) != 0) {
        die(path);
    }
    if (!S_ISDIR(st.st_mode)) {
        feed(path, (size_t)st.st_size);
        return 1;
    }
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort);
    if (n < 0) {
        die(path);
    }
    for (int i = 0; i < n; i++) {
        char *child = NULL;
        if (names[i]->d_name[0] != '.' && asprintf(&child, "%s/%s", path, names[i]->d_name) > 0) {
            count += replay(child);
            free(child);
        }
        free(names[i]);
    }
    free(names);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++) {
        count += argv[i][0] == '-' ? 0 : replay(argv[i]);
    }
    printf("%u files replayed\n", count);
    return count > 0 ? 0 : 1;
}
