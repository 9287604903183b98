/* Opening an environment: what must be true of its files before LMDB may trust them, when it is
 * begun anew, and the mark that says whether an unsynced one survived. */
#include "cache/directory.h"
#include "cache/env.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENV_BROKEN (-1)            /* beside errno and LMDB's results */
#define LOCK_BYTES (64 << 10)      /* LMDB's table of readers, with room for over 512 */
#define MAP_BYTES_MIN (1ull << 30) /* below which a smaller map is no help */
#define DIRTY_MARK "dirty"

/* ---- the meta pages ------------------------------------------------------------------------- */

/* One of LMDB's two meta pages, as format 1 lays them out on 64-bit machines. */
struct meta_page {
    uint64_t pgno;
    uint16_t pad, flags, lower, upper;
    uint32_t magic, version;
    uint64_t address, map_bytes;
    struct {
        uint32_t pad; /* of the first database: the page size */
        uint16_t flags, depth;
        uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
    } databases[2];
    uint64_t last_page, txnid;
};

/* Whether the file is as long as its newest meta page says; LMDB does not look. An empty file is
 * fine, and whatever LMDB itself refuses. */
static bool env_file_whole(int fd, uint64_t bytes)
{
    struct meta_page metas[2];

    if (bytes == 0 || sizeof(void *) != 8)
        return true;
    if (pread(fd, &metas[0], sizeof metas[0], 0) != sizeof metas[0])
        return false;
    uint64_t page = metas[0].databases[0].pad;
    if (page < 512 || page > 65536 || (page & (page - 1)) != 0)
        return false;
    if (pread(fd, &metas[1], sizeof metas[1], (off_t)page) != sizeof metas[1])
        return false;
    const struct meta_page *newest = &metas[metas[1].txnid > metas[0].txnid];
    if (newest->databases[0].pad != page || newest->last_page >= bytes / page)
        return false;
    for (int i = 0; i < 2; i++) {
        uint64_t root = newest->databases[i].root;
        if (root != UINT64_MAX && root > newest->last_page)
            return false;
    }
    return true;
}

/* A commit may leave pages at the end that were never written; the file is then made as long as the
 * meta page says, so that env_file_whole() can tell that from a cut. */
static void env_file_extend(struct env *env)
{
    MDB_envinfo info;
    struct stat status;
    int fd;

    if (mdb_env_info(env->env, &info) != 0 || mdb_env_get_fd(env->env, &fd) != 0)
        return;
    off_t bytes = (off_t)((info.me_last_pgno + 1) * env->page_bytes);
    if (fstat(fd, &status) == 0 && status.st_size < bytes && ftruncate(fd, bytes) != 0)
        g_info("cannot extend the cache: %s", g_strerror(errno));
}

int env_commit(struct env *env, MDB_txn *txn)
{
    int rc = mdb_txn_commit(txn);
    if (rc != 0)
        return env_error(env, rc, "write");
    env_file_extend(env);
    return CACHE_OK;
}

/* ---- the dirty mark ------------------------------------------------------------------------- */

/* An environment without sync survives the end of its process, but not that of the kernel. The mark
 * lies there while it is open, and names the kernel's run. */
static char *boot_id(void)
{
    char *id = NULL;
    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &id, NULL, NULL))
        return g_uuid_string_random(); /* unknown: never the same */
    return g_strstrip(id);
}

static bool env_mark_survived(int directory)
{
    char found[64] = "";
    int fd = openat(directory, DIRTY_MARK, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT;
    ssize_t length = read(fd, found, sizeof found - 1);
    close(fd);
    g_autofree char *id = boot_id();
    return length > 0 && strcmp(g_strstrip(found), id) == 0;
}

static int env_mark_put(int directory)
{
    g_autofree char *id = boot_id();
    size_t length = strlen(id);
    int fd = directory_file_open(directory, DIRTY_MARK);

    if (fd < 0)
        return errno;
    int rc = 0;
    ssize_t written = pwrite(fd, id, length, 0);
    if (written != (ssize_t)length)
        rc = written < 0 ? errno : ENOSPC;
    else if (fsync(fd) != 0 || fsync(directory) != 0)
        rc = errno;
    close(fd);
    return rc;
}

/* ---- opening -------------------------------------------------------------------------------- */

static bool env_is_broken(int rc)
{
    return rc == ENV_BROKEN || rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND ||
           rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH || rc == MDB_INCOMPATIBLE ||
           rc == MDB_PANIC || rc == MDB_BAD_VALSIZE || rc == ELOOP || rc == EISDIR;
}

/* Makes both files before LMDB does: with their mode, not through a link, and the lock file with
 * its blocks, since LMDB writes it through a map, where a full disk is a SIGBUS. */
static int env_prepare_files(struct env *env, int directory, const struct env_spec *spec)
{
    struct stat status;
    int fd = directory_file_open(directory, "data.mdb");

    if (fd < 0)
        return errno;
    int rc = 0;
    if (fstat(fd, &status) != 0)
        rc = errno;
    else if (!env_file_whole(fd, (uint64_t)status.st_size) ||
             (spec->bounded && (uint64_t)status.st_size > spec->map_bytes))
        rc = ENV_BROKEN;
    env->begun = rc == 0 && status.st_size == 0;
    close(fd);
    if (rc != 0)
        return rc;
    fd = directory_file_open(directory, "lock.mdb");
    if (fd < 0)
        return errno;
    if (fallocate(fd, 0, 0, LOCK_BYTES) != 0 && errno != EOPNOTSUPP)
        rc = errno;
    close(fd);
    return rc;
}

static int env_map(struct env *env, const char *path, const struct env_spec *spec, uint64_t bytes)
{
    int rc = mdb_env_create(&env->env);
    if (rc != 0)
        return rc;
    mdb_env_set_maxdbs(env->env, TABLE_END);
    mdb_env_set_maxreaders(env->env, ENV_READERS);
    rc = mdb_env_set_mapsize(env->env, bytes);
    if (rc == 0)
        rc = mdb_env_open(env->env, path, spec->flags | MDB_NOTLS, 0600);
    if (rc != 0)
        g_clear_pointer(&env->env, mdb_env_close);
    return rc;
}

/* A smaller map does where address space is short. */
static int env_map_any(struct env *env, const char *path, const struct env_spec *spec)
{
    uint64_t bytes = MIN(spec->map_bytes, (uint64_t)SIZE_MAX / 8);
    int rc = env_map(env, path, spec, bytes);

    while ((rc == ENOMEM || rc == EFBIG) && !spec->bounded && bytes / 2 >= MAP_BYTES_MIN) {
        bytes /= 2;
        rc = env_map(env, path, spec, bytes);
    }
    return rc;
}

static int env_begin(struct env *env, MDB_txn *txn, const struct env_spec *spec)
{
    const struct {
        const char *name;
        uint64_t number;
    } NUMBERS[] = {
        {"layout", ENV_LAYOUT},
        {"generation", (uint64_t)g_random_int() << 32 | g_random_int()},
        {"tie", spec->tie},
    };
    int rc = CACHE_OK;
    for (size_t i = 0; i < G_N_ELEMENTS(NUMBERS) && rc == CACHE_OK; i++)
        rc = env_put_counter(env, txn, NUMBERS[i].name, NUMBERS[i].number);
    env->fresh = true;
    return rc == CACHE_OK ? 0 : rc == CACHE_FULL ? ENOSPC : EINVAL;
}

static int env_open_tables(struct env *env, MDB_txn *txn, const struct env_spec *spec)
{
    MDB_dbi names; /* the database that names the others */
    MDB_stat stat;
    int rc = mdb_dbi_open(txn, NULL, 0, &names);
    if (rc == 0)
        rc = mdb_stat(txn, names, &stat);

    for (size_t i = 0; i < spec->table_count && rc == 0; i++) {
        char name[8];
        g_snprintf(name, sizeof name, "%d", spec->tables[i]);
        rc = mdb_dbi_open(txn, name, MDB_CREATE, &env->dbis[spec->tables[i]]);
    }
    if (rc == 0 && stat.ms_entries == 0)
        rc = env_begin(env, txn, spec);
    return rc;
}

static int env_check_numbers(struct env *env, MDB_txn *txn, const struct env_spec *spec)
{
    uint64_t layout, tie;

    if (env_get_counter(env, txn, "layout", &layout) != CACHE_OK || layout != ENV_LAYOUT ||
        env_get_counter(env, txn, "tie", &tie) != CACHE_OK || tie != spec->tie ||
        env_get_counter(env, txn, "generation", &env->generation) != CACHE_OK)
        return ENV_BROKEN;
    return 0;
}

static int env_open_txn(struct env *env, const struct env_spec *spec)
{
    MDB_txn *txn;
    MDB_stat stat;
    int dead, rc = mdb_reader_check(env->env, &dead);

    if (rc == 0)
        rc = mdb_env_stat(env->env, &stat);
    if (rc == 0)
        rc = mdb_txn_begin(env->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    env->page_bytes = stat.ms_psize;
    rc = env_open_tables(env, txn, spec);
    if (rc == 0)
        rc = env_check_numbers(env, txn, spec);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn);
    if (rc == 0)
        env_file_extend(env);
    return rc;
}

static int env_try(struct env *env, const char *path, const struct env_spec *spec)
{
    MDB_envinfo info;
    int rc = 0;

    if ((spec->unsynced && !env_mark_survived(env->directory)) ||
        faccessat(env->directory, ENV_DAMAGED, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        rc = ENV_BROKEN;
    if (rc == 0)
        rc = env_prepare_files(env, env->directory, spec);
    if (rc == 0)
        rc = env_map_any(env, path, spec);
    if (rc != 0)
        return rc;
    rc = env_open_txn(env, spec);
    if (rc == 0 && spec->unsynced) {
        rc = env_mark_put(env->directory);
        env->marked = true;
    }
    if (rc == 0)
        rc = mdb_env_info(env->env, &info);
    if (rc == 0)
        env->map_bytes = info.me_mapsize;
    else
        g_clear_pointer(&env->env, mdb_env_close);
    return rc;
}

/* Takes an environment out of the way; LMDB must have closed it. */
static bool env_set_aside(int parent, const struct env_spec *spec)
{
    g_autofree char *broken = g_strconcat(spec->name, ".broken", NULL);

    if (!spec->keep_broken)
        return directory_remove_at(parent, spec->name);
    for (unsigned i = 2;
         spec->keep_all && faccessat(parent, broken, F_OK, AT_SYMLINK_NOFOLLOW) == 0; i++) {
        g_free(broken);
        broken = g_strdup_printf("%s.broken-%u", spec->name, i);
    }
    return directory_remove_at(parent, broken) &&
           (renameat(parent, spec->name, parent, broken) == 0 || errno == ENOENT);
}

static void env_open_error(GError **error, int rc, const char *path)
{
    if (env_is_broken(rc))
        g_set_error(error, CACHE_ERROR, CACHE_IO, "the cache %s is damaged and cannot be replaced",
                    path);
    else if (rc > 0)
        directory_error(error, rc == EIO ? ENOSPC : rc, "open the cache", path);
    else
        g_set_error(error, CACHE_ERROR, rc == MDB_MAP_FULL ? CACHE_FULL : CACHE_IO,
                    "cannot open the cache %s: %s", path, mdb_strerror(rc));
}

static int env_open_once(struct env *env, int parent, const char *path, const struct env_spec *spec,
                         GError **error)
{
    env->directory = directory_open_at(parent, spec->name, error);
    if (env->directory < 0)
        return error != NULL && *error != NULL ? (*error)->code : CACHE_IO;
    int rc = env_try(env, path, spec);
    if (rc == 0)
        return CACHE_OK;
    close(env->directory);
    if (env_is_broken(rc))
        return CACHE_CORRUPT;
    if (env->begun) /* half a new one would look like a damaged one */
        directory_remove_at(parent, spec->name);
    env_open_error(error, rc, path);
    return rc == ENOSPC || rc == EDQUOT || rc == MDB_MAP_FULL || rc == EIO ? CACHE_FULL : CACHE_IO;
}

int env_open(struct env *env, int parent, const char *path, const struct env_spec *spec,
             GError **error)
{
    g_autofree char *whole = g_build_filename(path, spec->name, NULL);
    g_autoptr(GError) reason = NULL;

    *env = (struct env){.directory = -1, .walked = spec->walked};
    pthread_mutex_init(&env->lock, NULL);
    if (spec->begin_anew)
        env_set_aside(parent, spec);
    int rc = env_open_once(env, parent, whole, spec, &reason);
    if (rc == CACHE_CORRUPT) {
        if (spec->keep_broken)
            g_message("the cache %s is of no use, moved aside and begun anew", whole);
        if (env_set_aside(parent, spec))
            rc = env_open_once(env, parent, whole, spec, &reason);
        if (rc == CACHE_CORRUPT) {
            env_open_error(&reason, ENV_BROKEN, whole);
            rc = CACHE_IO;
        }
    }
    if (rc != CACHE_OK)
        g_propagate_error(error, g_steal_pointer(&reason));
    return rc;
}

int env_sync(struct env *env)
{
    int rc = mdb_env_sync(env->env, 1);
    return rc == 0 ? CACHE_OK : env_error(env, rc, "write");
}

void env_close(struct env *env)
{
    if (env->env == NULL)
        return;
    for (unsigned i = 0; i < env->idle_count; i++) {
        mdb_cursor_close(env->idle[i].cursor);
        mdb_txn_abort(env->idle[i].txn);
    }
    bool synced = env_sync(env) == CACHE_OK;
    mdb_env_close(env->env);
    if (env->marked && synced && unlinkat(env->directory, DIRTY_MARK, 0) == 0)
        fsync(env->directory);
    close(env->directory);
    pthread_mutex_destroy(&env->lock);
    *env = (struct env){.directory = -1};
}
