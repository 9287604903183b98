/* SOURCE, the configuration and -o: the first line of the input is SOURCE and the value of -o, the
 * rest is the file. */
#include <string.h>

#include "fs/command.h"
#include "fs/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void command_try(const char *options)
{
    char *argv[] = {(char *)"mailmount", (char *)"-o", (char *)options, (char *)"s", (char *)"m"};
    g_auto(command) command = {0};

    if (!command_parse(G_N_ELEMENTS(argv), argv, &command, NULL))
        return;
    g_auto(GStrv) fuse = command_fuse_options(&command, options, true);
    for (char **option = fuse; *option != NULL; option++) {
        g_auto(GStrv) words = command_split(*option);
        g_assert_cmpuint(g_strv_length(words), ==, 1); /* no option is smuggled in */
    }
}

static void accounts_check(const GPtrArray *accounts)
{
    for (guint i = 0; i < accounts->len; i++) {
        const struct account *account = accounts->pdata[i];
        g_assert_true(account->name != NULL);
        if (account->address != NULL)
            continue; /* the rest is found out later */
        g_assert_true(account->user != NULL && account->host != NULL);
        g_assert_true(account->port != 0 && account->connections != 0 && account->timeout_s != 0);
        g_assert_null(strpbrk(account->source, ", \\\n"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t length = end != NULL ? (size_t)(end - data) : size;
    g_autofree char *line = g_strndup((const char *)data, length);
    const char *text = end != NULL ? (const char *)end + 1 : "";
    size_t rest = end != NULL ? size - length - 1 : 0;
    g_autofree char *copy = g_memdup2(text, rest);
    bool several;

    command_try(line);
    g_autoptr(GPtrArray) accounts = config_accounts_of_text(line, "FILE", copy != NULL ? copy : "",
                                                            rest, NULL, &several, NULL, NULL);
    if (accounts != NULL)
        accounts_check(accounts);
    return 0;
}
