#include <errno.h>
#include <string.h>

#include "fs/control.h"

/* Stages of a request: its folder is looked for, once more with a fresh list of folders, then the
 * engines are asked, one stage each. */
enum { STAGE_FIND, STAGE_FIND_AGAIN, STAGE_ASKED };

enum folder_use { FOLDER_ALL, FOLDER_ONE };

static const struct request_kind {
    const char *verb;
    enum folder_use use;   /* ALL: without a folder everything is meant */
    bool accounts;         /* the folder is an account's */
    enum engine_want want; /* of one folder */
    enum engine_want all;  /* and of an account */
    const char *meaning;
} KINDS[] = {
    {"check", FOLDER_ALL, false, ENGINE_MAILBOX, ENGINE_FOLDERS,
     "check [FOLDER]: look for changes on the server now"},
    {"retry", FOLDER_ALL, true, ENGINE_CONNECT, ENGINE_CONNECT,
     "retry [ACCOUNT]: connect and sign in now"},
    {"prefetch", FOLDER_ONE, false, ENGINE_PREFETCH, ENGINE_PREFETCH,
     "prefetch FOLDER: fetch all of it into the cache"},
    {"stop", FOLDER_ONE, false, ENGINE_PREFETCH_STOP, ENGINE_PREFETCH_STOP,
     "stop FOLDER: fetch no more of it"},
};

GBytes *control_requests(const struct mounted *mounted)
{
    GString *text = g_string_new("# one request a line\n");
    for (size_t i = 0; i < G_N_ELEMENTS(KINDS); i++)
        g_string_append_printf(text, "# %s\n", KINDS[i].meaning);
    return g_string_free_to_bytes(text);
}

static const struct request_kind *kind_of(const char *line, const char **folder)
{
    for (size_t i = 0; i < G_N_ELEMENTS(KINDS); i++) {
        size_t length = strlen(KINDS[i].verb);
        if (strncmp(line, KINDS[i].verb, length) != 0 ||
            (line[length] != ' ' && line[length] != '\0'))
            continue;
        *folder = line + length + (line[length] == ' ');
        return &KINDS[i];
    }
    return NULL;
}

/* ---- folders --------------------------------------------------------------------------------- */

/* Takes the next name off a path with "/" between names; NULL at its end. The caller's. */
static char *path_step(const char **path)
{
    *path += strspn(*path, "/");
    size_t length = strcspn(*path, "/");
    if (length == 0)
        return NULL;
    char *name = g_strndup(*path, length);
    *path += length;
    return name;
}

static struct mounted_account *account_named(const struct mounted *mounted, const char *name)
{
    for (unsigned i = 0; i < mounted->count; i++)
        if (strcmp(mounted->accounts[i].account->name, name) == 0)
            return &mounted->accounts[i];
    return NULL;
}

static struct mounted_account *path_account(const struct mounted *mounted, const char **path)
{
    if (!mounted->several)
        return &mounted->accounts[0];
    g_autofree char *name = path_step(path);
    return name != NULL ? account_named(mounted, name) : NULL;
}

/* The mailbox at a path of the mount; slot 0 is the account's own directory. False: there is none.
 */
static bool folder_find(const struct mounted *mounted, const char *path,
                        struct mounted_account **account, uint32_t *slot)
{
    *slot = 0;
    *account = path_account(mounted, &path);
    if (*account == NULL)
        return false;
    g_autoptr(cache_txn) txn = cache_txn_read((*account)->cache);
    for (;;) {
        g_autofree char *name = path_step(&path);
        struct cache_mailbox mailbox;
        if (name == NULL)
            return true;
        if (cache_mailbox_by_name(txn, *slot, name, &mailbox) != CACHE_OK ||
            place_mailbox_goes(*account, mailbox.wire))
            return false;
        *slot = mailbox.slot;
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void asked_done(enum engine_error error, void *data)
{
}

static int need_account(const struct request_kind *kind, struct mounted_account *account,
                        struct need *need)
{
    const struct engine_wish wish = {.want = kind->all, .anew = true};
    return need_add(need, account->engine, &wish);
}

/* All accounts are asked at once, then waited for one after the other. */
static int request_all(const struct request_kind *kind, const struct mounted *mounted,
                       unsigned *stage, struct need *need)
{
    const struct engine_wish wish = {.want = kind->all, .anew = true};
    unsigned next = *stage < STAGE_ASKED ? 0 : *stage - STAGE_ASKED;
    for (unsigned i = 1; i < mounted->count && next == 0; i++)
        engine_ask(mounted->accounts[i].engine, &wish, asked_done, NULL);
    if (next == mounted->count)
        return 0;
    *stage = STAGE_ASKED + next + 1;
    return need_account(kind, &mounted->accounts[next], need);
}

static int request_one(const struct request_kind *kind, const struct mounted *mounted,
                       const char *path, unsigned *stage, struct need *need)
{
    struct mounted_account *account;
    uint32_t slot;
    if (*stage >= STAGE_ASKED)
        return 0;
    if (!folder_find(mounted, path, &account, &slot)) {
        if (*stage == STAGE_FIND_AGAIN || account == NULL)
            return ENOENT;
        const struct engine_wish folders = {.want = ENGINE_FOLDERS, .anew = true};
        *stage = STAGE_FIND_AGAIN;
        need->optional = true;
        return need_add(need, account->engine, &folders);
    }
    if ((slot != 0 && kind->accounts) || (slot == 0 && kind->use == FOLDER_ONE))
        return EINVAL;
    *stage = STAGE_ASKED;
    if (slot == 0)
        return need_account(kind, account, need);
    const struct engine_wish wish = {.want = kind->want, .folder = slot, .anew = true};
    return need_add(need, account->engine, &wish);
}

int control_request(const struct mounted *mounted, const char *line, unsigned *stage,
                    struct need *need)
{
    const char *folder;
    const struct request_kind *kind = kind_of(line, &folder);
    if (kind == NULL || !g_utf8_validate(line, -1, NULL))
        return EINVAL;
    if (*folder != '\0')
        return request_one(kind, mounted, folder, stage, need);
    return kind->use == FOLDER_ALL ? request_all(kind, mounted, stage, need) : EINVAL;
}
