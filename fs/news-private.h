/* What the rooms of fs/news share. Private to them. */
#pragma once

#include "fs/news.h"

enum news_kind {
    NEWS_ARRIVED,
    NEWS_REMOVED,
    NEWS_MOVED,
    NEWS_FLAGS,
    NEWS_FOLDER_NEW,
    NEWS_FOLDER_GONE,
    NEWS_FOLDER_MOVED,
};

/* What belongs together: a message's content in an account. */
struct whole {
    const struct mounted_account *account;
    uint64_t object;
};
struct fact {
    struct whole whole; /* first: a key */
    enum news_kind kind;
    bool own;                          /* it was done here */
    uint64_t inode;                    /* of NAME.eml, or of the folder's directory */
    uint64_t directory, old_directory; /* of a message */
    char *fields[3];                   /* as in the line, NULL after the last */
    gint64 wall_us;
    gint64 due_us; /* monotonic: told then at the latest */
};

/* news-watch.c: tells those who watch directories. */
void news_watchers(const struct fact *fact);
