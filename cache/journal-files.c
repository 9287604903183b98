/* Staged files and messages that could not be sent. */
#include "cache/directory.h"
#include "cache/journal-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES 200 /* of a failed file's name, with ".eml" */
#define WHY_BYTES 1000

/* ---- staged files ---------------------------------------------------------------------------- */

static void staged_name(char *name, size_t size, uint64_t staged)
{
    g_snprintf(name, size, "%" G_GUINT64_FORMAT, staged);
}

int journal_stage(struct journal *journal, uint64_t *staged)
{
    char name[24];

    for (;;) {
        pthread_mutex_lock(&journal->lock);
        *staged = journal->next_staged++;
        pthread_mutex_unlock(&journal->lock);
        staged_name(name, sizeof name, *staged);
        int fd = openat(journal->staged_directory, name,
                        O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd >= 0 && fchmod(fd, 0600) != 0) {
            int err_no = errno;
            close(fd);
            errno = err_no;
            return -1;
        }
        return fd;
    }
}

int journal_staged_open(struct journal *journal, uint64_t staged)
{
    char name[24];

    staged_name(name, sizeof name, staged);
    return openat(journal->staged_directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

void journal_staged_remove(struct journal *journal, uint64_t staged)
{
    char name[24];

    staged_name(name, sizeof name, staged);
    if (unlinkat(journal->staged_directory, name, 0) != 0 && errno != ENOENT)
        g_warning("cannot remove the staged file %s: %s", name, g_strerror(errno));
}

/* ---- names ----------------------------------------------------------------------------------- */

/* A name that is safe as a directory entry, without ".eml". */
static char *failed_stem(const char *name)
{
    g_autofree char *valid = g_utf8_make_valid(name, -1);
    GString *stem = g_string_new(NULL);

    if (g_str_has_suffix(valid, ".eml"))
        valid[strlen(valid) - 4] = 0;
    for (const char *at = valid; *at != 0 && stem->len < NAME_BYTES - 16;
         at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        bool plain = c != '/' && !g_unichar_iscntrl(c) && !(stem->len == 0 && c == '.');
        g_string_append_unichar(stem, plain ? c : '_');
    }
    if (stem->len == 0)
        g_string_assign(stem, "message");
    return g_string_free(stem, FALSE);
}

static bool failed_name_taken(struct journal *journal, const char *name)
{
    g_autofree char *folded = g_utf8_casefold(name, -1);

    for (guint i = 0; i < journal->failed->len; i++) {
        const struct journal_failed *failed = journal->failed->pdata[i];
        g_autofree char *other = g_utf8_casefold(failed->name, -1);
        if (strcmp(folded, other) == 0)
            return true;
    }
    return faccessat(journal->failed_directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static char *failed_name(struct journal *journal, const char *name)
{
    g_autofree char *stem = failed_stem(name);
    char *whole = g_strconcat(stem, ".eml", NULL);

    for (unsigned i = 2; failed_name_taken(journal, whole); i++) {
        g_free(whole);
        whole = g_strdup_printf("%s (%u).eml", stem, i);
    }
    return whole;
}

static char *one_line(const char *text)
{
    g_autofree char *cut = g_strndup(text != NULL ? text : "", WHY_BYTES);
    char *line = g_utf8_make_valid(cut, -1);

    for (char *at = line; *at != 0; at++) {
        if (g_ascii_iscntrl(*at))
            *at = ' ';
    }
    return g_strstrip(line);
}

/* ---- failed messages ------------------------------------------------------------------------- */

static void failed_free(void *data)
{
    struct journal_failed *failed = data;

    journal_failed_clear(failed);
    g_free(failed);
}

void journal_failed_clear(struct journal_failed *failed)
{
    g_clear_pointer(&failed->name, g_free);
    g_clear_pointer(&failed->why, g_free);
}

static bool failed_stat(struct journal *journal, struct journal_failed *failed)
{
    struct stat status;

    if (fstatat(journal->failed_directory, failed->name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode))
        return false;
    failed->size = (uint64_t)status.st_size;
    failed->mtime_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    return true;
}

/* Takes up a file of failed/ under a number. */
static bool failed_add(struct journal *journal, uint64_t number, const char *name, const char *why)
{
    struct journal_failed *failed = g_new0(struct journal_failed, 1);

    failed->number = number;
    failed->name = g_strdup(name);
    failed->why = one_line(why);
    if (!failed_stat(journal, failed)) {
        failed_free(failed);
        return false;
    }
    if (number >= journal->next_failed && number < UINT64_MAX)
        journal->next_failed = number + 1;
    pthread_mutex_lock(&journal->lock);
    guint at = journal->failed->len;
    while (at > 0 && ((struct journal_failed *)journal->failed->pdata[at - 1])->number > number)
        at--;
    g_ptr_array_insert(journal->failed, (gint)at, failed);
    pthread_mutex_unlock(&journal->lock);
    return true;
}

/* The other name first, then the old one goes: at no time is there none. Where there are no links,
 * the file is renamed. */
static int failed_link(struct journal *journal, const char *staged, const char *name)
{
    int rc = linkat(journal->staged_directory, staged, journal->failed_directory, name, 0);

    if (rc != 0 && (errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK))
        rc = renameat(journal->staged_directory, staged, journal->failed_directory, name);
    if (rc != 0)
        return errno;
    int fd = openat(journal->failed_directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    rc = fd >= 0 && fsync(fd) == 0 && fsync(journal->failed_directory) == 0 ? 0 : errno;
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Whether a file is in failed/ already: the same file under another name. */
static bool failed_is_there(struct journal *journal, const char *staged)
{
    struct stat status, other;

    if (fstatat(journal->staged_directory, staged, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    for (guint i = 0; status.st_nlink > 1 && i < journal->failed->len; i++) {
        const struct journal_failed *failed = journal->failed->pdata[i];
        if (fstatat(journal->failed_directory, failed->name, &other, AT_SYMLINK_NOFOLLOW) == 0 &&
            other.st_ino == status.st_ino && other.st_dev == status.st_dev)
            return true;
    }
    return false;
}

static int err_no_rc(int err_no, const char *doing)
{
    if (err_no == ENOENT)
        return CACHE_NOT_FOUND;
    if (err_no == ENOSPC || err_no == EDQUOT)
        return CACHE_FULL;
    g_warning("cannot %s a message: %s", doing, g_strerror(err_no));
    return CACHE_IO;
}

int journal_staged_sync(struct journal *journal, uint64_t staged)
{
    int fd = journal_staged_open(journal, staged);
    int err_no = fd >= 0 && fsync(fd) == 0 && fsync(journal->staged_directory) == 0 ? 0 : errno;

    if (fd >= 0)
        close(fd);
    return err_no == 0 ? CACHE_OK : err_no_rc(err_no, "write");
}

int journal_file_fail(struct journal *journal, uint64_t staged, const char *asked, const char *why,
                      uint64_t *number)
{
    char name[24];

    *number = 0;
    staged_name(name, sizeof name, staged);
    if (failed_is_there(journal, name))
        return CACHE_OK;
    g_autofree char *file = failed_name(journal, asked);
    g_autofree char *line = one_line(why);
    int err_no = failed_link(journal, name, file);
    if (err_no != 0)
        return err_no_rc(err_no, "keep");
    uint64_t given = journal->next_failed;
    if (!failed_add(journal, given, file, line))
        return CACHE_IO;
    *number = given;
    int rc = journal_store_failed(journal, given, file, line);
    if (rc != CACHE_OK) /* the message is safe; only the reason will be missing one day */
        g_warning("cannot note why %s could not be sent", file);
    return CACHE_OK;
}

int journal_fail(struct journal *journal, const struct journal_entry *entry, const char *why,
                 uint64_t *number)
{
    uint64_t given = 0;

    pthread_mutex_lock(&journal->change_lock);
    int rc = entry->staged == 0
                 ? CACHE_NOT_FOUND
                 : journal_file_fail(journal, entry->staged, entry->name, why, &given);
    pthread_mutex_unlock(&journal->change_lock);
    if (number != NULL)
        *number = given;
    return rc;
}

bool journal_failed_next(struct journal *journal, uint64_t after, struct journal_failed *failed)
{
    bool found = false;

    pthread_mutex_lock(&journal->lock);
    for (guint i = 0; !found && i < journal->failed->len; i++) {
        const struct journal_failed *each = journal->failed->pdata[i];
        if (each->number <= after)
            continue;
        *failed = *each;
        failed->name = g_strdup(each->name);
        failed->why = g_strdup(each->why);
        found = true;
    }
    pthread_mutex_unlock(&journal->lock);
    return found;
}

/* The name of a failed message, the caller's; NULL: there is none. */
static char *failed_find(struct journal *journal, uint64_t number, guint *at)
{
    char *name = NULL;

    pthread_mutex_lock(&journal->lock);
    for (guint i = 0; name == NULL && i < journal->failed->len; i++) {
        const struct journal_failed *failed = journal->failed->pdata[i];
        if (failed->number == number) {
            name = g_strdup(failed->name);
            *at = i;
        }
    }
    pthread_mutex_unlock(&journal->lock);
    return name;
}

int journal_failed_open(struct journal *journal, uint64_t number)
{
    guint at;
    g_autofree char *name = failed_find(journal, number, &at);

    if (name != NULL)
        return openat(journal->failed_directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    errno = ENOENT;
    return -1;
}

int journal_failed_remove(struct journal *journal, uint64_t number)
{
    guint at = 0;

    pthread_mutex_lock(&journal->change_lock);
    g_autofree char *name = failed_find(journal, number, &at);
    int rc = name == NULL ? CACHE_NOT_FOUND : CACHE_OK;
    if (rc == CACHE_OK && unlinkat(journal->failed_directory, name, 0) != 0 && errno != ENOENT)
        rc = err_no_rc(errno, "remove");
    if (rc == CACHE_OK) {
        pthread_mutex_lock(&journal->lock);
        g_ptr_array_remove_index(journal->failed, at);
        pthread_mutex_unlock(&journal->lock);
        journal_store_failed(journal, number, NULL, NULL);
    }
    pthread_mutex_unlock(&journal->change_lock);
    return rc;
}

/* ---- at opening ------------------------------------------------------------------------------ */

static GPtrArray *directory_names(int directory)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;

    if (entries == NULL) {
        if (fd >= 0)
            close(fd);
        return names;
    }
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            g_ptr_array_add(names, g_strdup(entry->d_name));
    }
    closedir(entries);
    return names;
}

static bool failed_known(struct journal *journal, const char *name)
{
    for (guint i = 0; i < journal->failed->len; i++) {
        const struct journal_failed *failed = journal->failed->pdata[i];
        if (strcmp(failed->name, name) == 0)
            return true;
    }
    return false;
}

static bool failed_name_safe(const char *name)
{
    return *name != 0 && *name != '.' && strchr(name, '/') == NULL && strlen(name) <= 255;
}

static void failed_load(struct journal *journal, uint64_t number, const char *name, const char *why)
{
    if (failed_name_safe(name) && !failed_known(journal, name))
        failed_add(journal, number, name, why);
}

/* A file without a record: its note was lost, or it is the half of a move that will be made again.
 */
static void failed_adopt(struct journal *journal)
{
    g_autoptr(GPtrArray) names = directory_names(journal->failed_directory);

    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        if (!failed_name_safe(name) || failed_known(journal, name) ||
            !g_utf8_validate(name, -1, NULL))
            continue;
        uint64_t number = journal->next_failed;
        if (failed_add(journal, number, name, ""))
            journal_store_failed(journal, number, name, "");
    }
}

int journal_files_open(struct journal *journal, GError **error)
{
    journal->staged_directory = directory_open_at(journal->directory, "staged", error);
    if (journal->staged_directory < 0)
        return CACHE_IO;
    journal->failed_directory = directory_open_at(journal->directory, "failed", error);
    if (journal->failed_directory < 0)
        return CACHE_IO;
    if (fsync(journal->directory) != 0) {
        directory_error(error, errno, "write", "the state folder");
        return CACHE_IO;
    }
    journal->failed = g_ptr_array_new_with_free_func(failed_free);
    journal->next_failed = journal->next_staged = 1;
    return CACHE_OK;
}

static bool staged_number(const char *name, uint64_t *number)
{
    char *end;

    *number = g_ascii_strtoull(name, &end, 10);
    return g_ascii_isdigit(*name) && *end == 0 && *number > 0 && *number < UINT64_MAX;
}

void journal_files_tidy(struct journal *journal, bool keep)
{
    g_autoptr(GPtrArray) names = directory_names(journal->staged_directory);

    journal_store_failed_each(journal, failed_load);
    failed_adopt(journal);
    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        uint64_t number, failed;
        if (!staged_number(name, &number))
            continue;
        journal->next_staged = MAX(journal->next_staged, number + 1);
        if (g_hash_table_contains(journal->files, &number))
            continue;
        if (!keep || journal_file_fail(journal, number, "message",
                                       "the journal that said where it was to go is damaged",
                                       &failed) == CACHE_OK)
            journal_staged_remove(journal, number);
    }
}

void journal_files_close(struct journal *journal)
{
    g_clear_pointer(&journal->failed, g_ptr_array_unref);
    if (journal->staged_directory >= 0)
        close(journal->staged_directory);
    if (journal->failed_directory >= 0)
        close(journal->failed_directory);
}
