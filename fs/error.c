#include "fs/error.h"

#include <errno.h>

static const struct error_map {
    int error;
    int err_no;
    const char *meaning;
} ENGINE_ERRORS[] = {
    {ENGINE_OK, 0, "done"},
    {ENGINE_GONE, ENOENT, "it is not on the server any more"},
    {ENGINE_REFUSED, EACCES, "the server refuses it"},
    {ENGINE_TIMEOUT, ETIMEDOUT, "the server made no progress in time"},
    {ENGINE_OFFLINE, ENETUNREACH, "the server is out of reach, and this is not in the cache"},
    {ENGINE_LOGIN, EACCES, "signing in failed"},
    {ENGINE_INTERRUPTED, EINTR, "interrupted"},
    {ENGINE_BROKEN, EIO, "the server's answers make no sense"},
    {ENGINE_CACHE, EIO, "the cache cannot take it"},
    {ENGINE_FULL, ENOSPC, "no space for the cache"},
    {ENGINE_STOPPED, ENOTCONN, "the mount is ending"},
    {ENGINE_QUOTA, EDQUOT, "the account is full"},
    {ENGINE_TOO_BIG, EFBIG, "the server takes no message of this size"},
    {ENGINE_INVALID, EINVAL, "the server does not take it"},
    {ENGINE_EXISTS, EEXIST, "a mailbox of this name exists"},
    {ENGINE_NOT_EMPTY, ENOTEMPTY, "the mailbox holds messages or other mailboxes"},
};

static const struct error_map CACHE_ERRORS[] = {
    {CACHE_OK, 0, "done"},
    {CACHE_NOT_FOUND, ENOENT, "it is not in the cache"},
    {CACHE_CORRUPT, EIO, "the record in the cache is damaged"},
    {CACHE_FULL, ENOSPC, "the cache is full"},
    {CACHE_LOCKED, EBUSY, "another process uses the cache"},
    {CACHE_IO, EIO, "the cache cannot be read or written"},
};

static const struct error_map *map_find(const struct error_map *map, size_t count, int error)
{
    static const struct error_map UNKNOWN = {-1, EIO, "an error without a name"};

    for (size_t i = 0; i < count; i++)
        if (map[i].error == error)
            return &map[i];
    return &UNKNOWN;
}

int error_of_engine(enum engine_error error)
{
    return map_find(ENGINE_ERRORS, G_N_ELEMENTS(ENGINE_ERRORS), (int)error)->err_no;
}

const char *error_meaning(enum engine_error error)
{
    return map_find(ENGINE_ERRORS, G_N_ELEMENTS(ENGINE_ERRORS), (int)error)->meaning;
}

int error_of_cache(int error)
{
    return map_find(CACHE_ERRORS, G_N_ELEMENTS(CACHE_ERRORS), error)->err_no;
}
