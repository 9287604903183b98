/* A FUSE filesystem with no work to do: the floor that rm and mv through mailmount are measured
 * against. Two directories, "from" with COUNT empty files and "to"; files can be removed and moved.
 *
 *     nullfs COUNT MOUNTPOINT     stays in the foreground until it is unmounted
 */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FROM = 2, TO = 3, FIRST = 16 };
static unsigned count;
static uint8_t *where; /* of each file: FROM, TO, or 0: removed */

static void fill(struct stat *st, fuse_ino_t inode)
{
    *st = (struct stat){
        .st_ino = inode,
        .st_mode = inode < FIRST ? S_IFDIR | 0700 : S_IFREG | 0600,
        .st_nlink = 1,
    };
}

static void op_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
    struct stat st;
    fill(&st, inode);
    fuse_reply_attr(request, &st, 3600);
}

/* The file's number; COUNT: none. */
static unsigned number_of(const char *name)
{
    char *end;
    unsigned long number = name[0] == 'm' ? strtoul(name + 1, &end, 10) : count;
    return number < count && *end == '\0' ? (unsigned)number : count;
}

static void op_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry = {.entry_timeout = 3600, .attr_timeout = 3600};
    unsigned number = number_of(name);
    if (parent == FUSE_ROOT_ID && strcmp(name, "from") == 0)
        entry.ino = FROM;
    else if (parent == FUSE_ROOT_ID && strcmp(name, "to") == 0)
        entry.ino = TO;
    else if (number < count && where[number] == parent)
        entry.ino = FIRST + number;
    if (entry.ino != 0)
        fill(&entry.attr, entry.ino);
    fuse_reply_entry(request, &entry);
}

static void op_readdir(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                       struct fuse_file_info *info)
{
    char *bytes = malloc(size), name[24];
    size_t used = 0;
    for (off_t i = offset; inode != FUSE_ROOT_ID && i < (off_t)count; i++) {
        struct stat st;
        if (where[i] != inode)
            continue;
        fill(&st, FIRST + (fuse_ino_t)i);
        snprintf(name, sizeof(name), "m%06ld", (long)i);
        size_t needs = fuse_add_direntry(request, bytes + used, size - used, name, &st, i + 1);
        if (needs > size - used)
            break;
        used += needs;
    }
    fuse_reply_buf(request, bytes, used);
    free(bytes);
}

static void op_unlink(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    unsigned number = number_of(name);
    if (number == count || where[number] != parent) {
        fuse_reply_err(request, ENOENT);
        return;
    }
    where[number] = 0;
    fuse_reply_err(request, 0);
}

static void op_rename(fuse_req_t request, fuse_ino_t parent, const char *name, fuse_ino_t target,
                      const char *new_name, unsigned flags)
{
    unsigned number = number_of(name);
    if (number == count || where[number] != parent || number_of(new_name) != number) {
        fuse_reply_err(request, ENOENT);
        return;
    }
    where[number] = (uint8_t)target;
    fuse_reply_err(request, 0);
}

static const struct fuse_lowlevel_ops OPS = {
    .getattr = op_getattr,
    .lookup = op_lookup,
    .readdir = op_readdir,
    .unlink = op_unlink,
    .rename = op_rename,
};

int main(int argc, char **argv)
{
    char program[] = "nullfs";
    char *arguments[] = {program, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, arguments);
    count = argc == 3 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    where = malloc(count + 1);
    struct fuse_session *session = fuse_session_new(&args, &OPS, sizeof(OPS), NULL);
    if (count == 0 || where == NULL || session == NULL) {
        fprintf(stderr, "usage: nullfs COUNT MOUNTPOINT\n");
        return 1;
    }
    memset(where, FROM, count);
    if (fuse_session_mount(session, argv[2]) != 0)
        return 1;
    int status = fuse_session_loop_mt(session, NULL);
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    free(where);
    return status != 0;
}
