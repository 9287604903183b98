/* Runs a fuzz target once over every file of the folders and files given: what a fuzzer found once
 * is a test for ever. */
#include <glib.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(const char *path)
{
    g_autofree char *bytes = NULL;
    gsize length;
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    if (folder != NULL) {
        for (const char *name; (name = g_dir_read_name(folder)) != NULL;) {
            g_autofree char *file = g_build_filename(path, name, NULL);
            if (!g_file_test(file, G_FILE_TEST_IS_DIR))
                replay(file);
        }
        return;
    }
    if (!g_file_get_contents(path, &bytes, &length, NULL))
        g_error("%s cannot be read", path);
    LLVMFuzzerTestOneInput((const uint8_t *)bytes, length);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        g_error("no seeds given");
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    return 0;
}
