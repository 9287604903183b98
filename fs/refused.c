#include "fs/refused.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/error.h"

/* Which account's a failed message is, and its number, are in its inode. */
static uint64_t inode_of(unsigned account, uint64_t number)
{
    return node_inode(
        (struct node){.uid = (uint32_t)number, .part = (uint16_t)(NODE_PART_REFUSED + account)});
}

static char *name_of(const struct mounted *mounted, unsigned account, const char *name)
{
    return mounted->several
               ? g_strdup_printf("%s - %s", mounted->accounts[account].account->name, name)
               : g_strdup(name);
}

bool refused_next(const struct mounted *mounted, uint64_t after, uint64_t *inode, char **name)
{
    struct node node = node_of(after);
    unsigned first = after != 0 ? (unsigned)node.part - NODE_PART_REFUSED : 0;
    for (unsigned i = first; i < mounted->count; i++) {
        struct journal *journal = mounted->accounts[i].journal;
        struct journal_failed failed;
        uint64_t from = i == first && after != 0 ? node.uid : 0;
        if (journal == NULL || !journal_failed_next(journal, from, &failed))
            continue;
        if (failed.number <= UINT32_MAX) {
            *inode = inode_of(i, failed.number);
            *name = name_of(mounted, i, failed.name);
        }
        bool fits = failed.number <= UINT32_MAX;
        journal_failed_clear(&failed);
        if (fits)
            return true;
    }
    return false;
}

uint64_t refused_find(const struct mounted *mounted, const char *name)
{
    uint64_t inode = 0;
    char *next = NULL;
    while (refused_next(mounted, inode, &inode, &next)) {
        g_autofree char *this = next;
        if (strcmp(this, name) == 0)
            return inode;
    }
    return 0;
}

int refused_attr(const struct place *place, struct tree_attr *attr)
{
    struct journal_failed failed;
    uint64_t number = place->node.uid;
    if (!journal_failed_next(place->account->journal, number - 1, &failed))
        return ESTALE;
    bool same = failed.number == number;
    attr->size = failed.size;
    attr->mtime_ns = attr->ctime_ns = failed.mtime_ns;
    journal_failed_clear(&failed);
    return same ? 0 : ESTALE;
}

int refused_bytes(const struct place *place, GBytes **bytes)
{
    int file = journal_failed_open(place->account->journal, place->node.uid);
    if (file < 0)
        return errno == ENOENT ? ESTALE : errno;
    g_autoptr(GMappedFile) mapped = g_mapped_file_new_from_fd(file, FALSE, NULL);
    close(file);
    if (mapped == NULL)
        return EIO;
    *bytes = g_mapped_file_get_bytes(mapped);
    return 0;
}

int refused_remove(const struct mounted *mounted, uint64_t inode)
{
    struct node node = node_of(inode);
    struct journal *journal = mounted->accounts[node.part - NODE_PART_REFUSED].journal;
    return error_of_cache(journal_failed_remove(journal, node.uid));
}
