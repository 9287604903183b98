#include "tests/remove.h"

#include <glib/gstdio.h>
#include <stdbool.h>

void remove_tree(const char *path)
{
    bool link = g_file_test(path, G_FILE_TEST_IS_SYMLINK);
    g_autoptr(GDir) directory = link ? NULL : g_dir_open(path, 0, NULL);
    const char *name;
    while (directory != NULL && (name = g_dir_read_name(directory)) != NULL) {
        g_autofree char *below = g_build_filename(path, name, NULL);
        remove_tree(below);
    }
    g_remove(path);
}
