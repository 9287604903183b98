#include "fs/error.h"

#include <errno.h>

static void test_engine(void)
{
    static const struct {
        enum engine_error error;
        int err_no;
    } CASES[] = {
        {ENGINE_OK, 0},
        {ENGINE_GONE, ENOENT},
        {ENGINE_REFUSED, EACCES},
        {ENGINE_TIMEOUT, ETIMEDOUT},
        {ENGINE_OFFLINE, ENETUNREACH},
        {ENGINE_LOGIN, EACCES},
        {ENGINE_INTERRUPTED, EINTR},
        {ENGINE_BROKEN, EIO},
        {ENGINE_CACHE, EIO},
        {ENGINE_FULL, ENOSPC},
        {ENGINE_STOPPED, ENOTCONN},
        {ENGINE_QUOTA, EDQUOT},
        {ENGINE_TOO_BIG, EFBIG},
        {ENGINE_INVALID, EINVAL},
        {ENGINE_EXISTS, EEXIST},
        {ENGINE_NOT_EMPTY, ENOTEMPTY},
        {(enum engine_error)12345, EIO},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_assert_cmpint(error_of_engine(CASES[i].error), ==, CASES[i].err_no);
        g_assert_cmpstr(error_meaning(CASES[i].error), !=, "");
    }
}

/* Every error of engine.h has a row: two neighbours never share the words of an unknown one. */
static void test_engine_complete(void)
{
    const char *unknown = error_meaning((enum engine_error)12345);

    for (int error = ENGINE_OK; error <= ENGINE_NOT_EMPTY; error++)
        g_assert_cmpstr(error_meaning((enum engine_error)error), !=, unknown);
}

static void test_cache(void)
{
    static const int CASES[][2] = {{CACHE_OK, 0},         {CACHE_NOT_FOUND, ENOENT},
                                   {CACHE_CORRUPT, EIO},  {CACHE_FULL, ENOSPC},
                                   {CACHE_LOCKED, EBUSY}, {CACHE_IO, EIO},
                                   {-30000, EIO}};
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++)
        g_assert_cmpint(error_of_cache(CASES[i][0]), ==, CASES[i][1]);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/engine", test_engine);
    g_test_add_func("/error/engine-complete", test_engine_complete);
    g_test_add_func("/error/cache", test_cache);
    return g_test_run();
}
