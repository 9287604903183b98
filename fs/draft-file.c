/* A draft's bytes: a staged file of its own while it is written, the journal's once delivered. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/draft-private.h"

/* What an IMAP literal can say of its length (RFC 3501, 9: number). */
#define SIZE_MAX_BYTES ((uint64_t)UINT32_MAX)
#define PIECE (256u << 10)

static struct journal *journal_of(const struct draft *draft)
{
    return draft->account->journal;
}

static void file_close(struct draft_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    file->writable = false;
}

/* Lets go of the file, and removes it if it is the draft's. */
static void file_drop(struct draft *draft)
{
    file_close(&draft->file);
    if (draft->file.own && draft->file.staged != 0)
        journal_staged_remove(journal_of(draft), draft->file.staged);
    draft->file.staged = 0;
    draft->file.own = false;
}

int draft_file_open(struct draft *draft)
{
    if (draft->file.fd >= 0 || draft->file.staged == 0)
        return 0;
    draft->file.fd = journal_staged_open(journal_of(draft), draft->file.staged);
    if (draft->file.fd < 0)
        return errno == ENOENT ? ESTALE : errno;
    return 0;
}

static int write_all(int fd, const char *bytes, size_t length, uint64_t offset)
{
    for (size_t done = 0; done < length;) {
        ssize_t put = pwrite(fd, bytes + done, length - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? errno : EIO;
        done += (size_t)put;
    }
    return 0;
}

static int copy_bytes(int from, int to, uint64_t length)
{
    g_autofree char *buffer = g_malloc(PIECE);
    for (uint64_t at = 0; at < length;) {
        ssize_t got = pread(from, buffer, MIN(length - at, PIECE), (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : EIO;
        int error = write_all(to, buffer, (size_t)got, at);
        if (error != 0)
            return error;
        at += (uint64_t)got;
    }
    return 0;
}

int draft_file_own(struct draft *draft, uint64_t keep)
{
    if (draft->file.writable)
        return 0;
    keep = MIN(keep, draft->file.size);
    int error = keep > 0 ? draft_file_open(draft) : 0;
    if (error != 0)
        return error;
    struct draft_file fresh = {.writable = true, .own = true, .size = keep};
    fresh.fd = journal_stage(journal_of(draft), &fresh.staged);
    if (fresh.fd < 0)
        return errno;
    error = keep > 0 ? copy_bytes(draft->file.fd, fresh.fd, keep) : 0;
    if (error != 0) {
        close(fresh.fd);
        journal_staged_remove(journal_of(draft), fresh.staged);
        return error;
    }
    file_drop(draft);
    draft->file = fresh;
    return 0;
}

int draft_file_sync(struct draft *draft)
{
    int error = draft_file_open(draft);
    if (error != 0 || draft->file.fd < 0)
        return error;
    return fdatasync(draft->file.fd) == 0 ? 0 : errno;
}

void draft_file_show_sent(struct draft *draft, const struct draft_sent *sent)
{
    if (sent->staged == 0 || sent->staged == draft->file.staged)
        return;
    file_drop(draft);
    draft->file.staged = sent->staged;
    draft->file.size = sent->size;
}

void draft_file_rest(struct draft *draft)
{
    if (draft->file.size == 0)
        file_drop(draft);
    file_close(&draft->file);
}

void draft_file_end(struct draft *draft)
{
    file_drop(draft);
}

/* ---- reading and writing ---- */

int draft_read(struct draft_handle *handle, uint64_t offset, size_t length, void *buffer,
               size_t *got)
{
    struct draft *draft = handle->draft;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&draft->lock);
    *got = 0;
    int error = draft_file_open(draft);
    if (error != 0 || offset >= draft->file.size)
        return error;
    length = MIN(length, draft->file.size - offset);
    while (*got < length) {
        ssize_t more =
            pread(draft->file.fd, (char *)buffer + *got, length - *got, (off_t)(offset + *got));
        if (more < 0 && errno == EINTR)
            continue;
        if (more <= 0)
            return more < 0 ? errno : EIO;
        *got += (size_t)more;
    }
    return 0;
}

/* The draft is about to be other than it was. */
static void touch(struct draft *draft)
{
    draft->unsent = true;
    if (!draft->set_mtime)
        draft->mtime_ns = g_get_real_time() * 1000;
    draft_again(draft);
}

static int write_bytes(struct draft *draft, uint64_t offset, const void *bytes, size_t length)
{
    if (offset > SIZE_MAX_BYTES || length > SIZE_MAX_BYTES - offset)
        return EFBIG;
    int error = draft_file_own(draft, G_MAXUINT64);
    if (error != 0)
        return error;
    touch(draft);
    error = write_all(draft->file.fd, bytes, length, offset);
    if (error == 0)
        draft->file.size = MAX(draft->file.size, offset + length);
    else if (ftruncate(draft->file.fd, (off_t)draft->file.size) != 0)
        g_debug("what was written in part stays: %s", g_strerror(errno));
    return error;
}

int draft_write(struct draft_handle *handle, uint64_t offset, const void *bytes, size_t length)
{
    struct draft *draft = handle->draft;
    if (!handle->write)
        return EBADF;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&draft->lock);
    draft->copied = 0;
    draft->set_mtime = false; /* a time that was set is older than what is written now */
    return length > 0 ? write_bytes(draft, offset, bytes, length) : 0;
}

int draft_copy(struct draft_handle *handle, uint64_t target_offset, uint64_t source,
               uint64_t offset, const void *bytes, size_t length)
{
    struct draft *draft = handle->draft;
    if (!handle->write)
        return EBADF;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&draft->lock);
    bool first = draft->file.size == 0 && offset == 0 && target_offset == 0;
    bool next = draft->copied == source && draft->copied_size == draft->file.size &&
                offset == draft->copied_size && target_offset == offset;
    draft->copied = first || next ? source : 0;
    draft->set_mtime = false;
    int error = length > 0 ? write_bytes(draft, target_offset, bytes, length) : 0;
    if (error != 0)
        draft->copied = 0;
    draft->copied_size = draft->file.size;
    return error;
}

int draft_file_truncate(struct draft *draft, uint64_t size)
{
    if (size > SIZE_MAX_BYTES)
        return EFBIG;
    if (size == draft->file.size)
        return 0;
    int error = draft_file_own(draft, size);
    if (error != 0)
        return error;
    draft->copied = 0;
    touch(draft);
    if (ftruncate(draft->file.fd, (off_t)size) != 0)
        return errno;
    draft->file.size = size;
    return 0;
}
