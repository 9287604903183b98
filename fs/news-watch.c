/* What others did, as operations in the mount: see fs/inotify.h. */
#include <string.h>

#include "fs/inotify.h"
#include "fs/news-private.h"

/* ---- messages ---- */

/* One face of a message; names are those of NAME.eml, or with view=parts of NAME/. */
static void tell_face(const struct fact *fact, bool eml, const char *name, const char *old_path,
                      const char *old_name)
{
    static const enum inotify_what WHAT[][2] = {
        [NEWS_ARRIVED] = {INOTIFY_MKDIR, INOTIFY_CREATE},
        [NEWS_REMOVED] = {INOTIFY_RMDIR, INOTIFY_UNLINK},
        [NEWS_MOVED] = {INOTIFY_RENAME, INOTIFY_RENAME},
        [NEWS_FLAGS] = {INOTIFY_NONE, INOTIFY_ATTRIB},
    };
    struct node node = node_of(fact->inode);
    node.part = eml ? NODE_PART_MESSAGE : NODE_PART_DIRECTORY;
    const struct inotify_place is = {fact->fields[0], fact->directory, name};
    struct inotify_change change = {
        .what = WHAT[fact->kind][eml],
        .at = is,
        .inode = node_inode(node),
        .directory = !eml,
    };
    if (fact->kind == NEWS_MOVED) {
        change.at = (struct inotify_place){old_path, fact->old_directory, old_name};
        change.to = is;
    }
    if (change.what != INOTIFY_NONE)
        inotify_tell(&change);
}

static char *stem_of(const char *name)
{
    bool eml = g_str_has_suffix(name, ".eml");
    return g_strndup(name, strlen(name) - (eml ? strlen(".eml") : 0));
}

static void tell_message(const struct fact *fact)
{
    enum account_view view = fact->whole.account->account->view;
    const char *old = fact->kind == NEWS_MOVED ? fact->fields[2] : "";
    g_autofree char *old_path = g_path_get_dirname(old);
    g_autofree char *old_name = g_path_get_basename(old);
    if (view == ACCOUNT_VIEW_PARTS) {
        tell_face(fact, false, fact->fields[1], old_path, old_name);
        return;
    }
    tell_face(fact, true, fact->fields[1], old_path, old_name);
    g_autofree char *stem = stem_of(fact->fields[1]);
    g_autofree char *old_stem = stem_of(old_name);
    if (view == ACCOUNT_VIEW_BOTH)
        tell_face(fact, false, stem, old_path, old_stem);
}

/* ---- folders ---- */

/* The directory that holds what a path leads to, "" for the root; the caller's. */
static char *above_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? g_strndup(path, (gsize)(slash - path)) : g_strdup("");
}

static const char *last_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static void tell_folder(const struct fact *fact)
{
    static const enum inotify_what WHAT[] = {
        [NEWS_FOLDER_NEW] = INOTIFY_MKDIR,
        [NEWS_FOLDER_GONE] = INOTIFY_RMDIR,
        [NEWS_FOLDER_MOVED] = INOTIFY_RENAME,
    };
    const char *path = fact->fields[0];
    const char *from = fact->kind == NEWS_FOLDER_MOVED ? fact->fields[1] : path;
    g_autofree char *above = above_of(path);
    g_autofree char *from_above = above_of(from);
    const struct inotify_change change = {
        .what = WHAT[fact->kind],
        .at = {.path = from_above, .name = last_of(from)},
        .to = {.path = above, .name = last_of(path)},
        .inode = fact->inode,
        .directory = true,
    };
    inotify_tell(&change);
}

void news_watchers(const struct fact *fact)
{
    if (!inotify_active())
        return;
    if (fact->kind >= NEWS_FOLDER_NEW)
        tell_folder(fact);
    else
        tell_message(fact);
}
