#include "imap/capability.h"

#include "imap/parse.h"

#include <string.h>

enum { MECHANISMS_MAX = 64 };

static const struct capability_name {
    const char *name;
    unsigned flag;
} NAMES[] = {
    {"IMAP4REV2", IMAP_CAP_IMAP4REV2},
    {"LITERAL+", IMAP_CAP_LITERAL_PLUS},
    {"LITERAL-", IMAP_CAP_LITERAL_MINUS},
    {"ENABLE", IMAP_CAP_ENABLE},
    {"UTF8=ACCEPT", IMAP_CAP_UTF8_ACCEPT},
    {"UTF8=ONLY", IMAP_CAP_UTF8_ACCEPT}, /* RFC 6855, 6: implies it */
    {"CONDSTORE", IMAP_CAP_CONDSTORE},
    {"QRESYNC", IMAP_CAP_QRESYNC | IMAP_CAP_CONDSTORE | IMAP_CAP_ENABLE}, /* RFC 7162, 3.2 */
    {"ESEARCH", IMAP_CAP_ESEARCH},
    {"LIST-EXTENDED", IMAP_CAP_LIST_EXTENDED},
    {"LIST-STATUS", IMAP_CAP_LIST_STATUS},
    {"SPECIAL-USE", IMAP_CAP_SPECIAL_USE},
    {"NAMESPACE", IMAP_CAP_NAMESPACE},
    {"ID", IMAP_CAP_ID},
    {"MOVE", IMAP_CAP_MOVE},
    {"UIDPLUS", IMAP_CAP_UIDPLUS},
    {"IDLE", IMAP_CAP_IDLE},
    {"NOTIFY", IMAP_CAP_NOTIFY},
    {"OBJECTID", IMAP_CAP_OBJECTID},
    {"X-GM-EXT-1", IMAP_CAP_GMAIL},
    {"QUOTA", IMAP_CAP_QUOTA},
    {"ACL", IMAP_CAP_ACL},
    {"UNSELECT", IMAP_CAP_UNSELECT},
    {"COMPRESS=DEFLATE", IMAP_CAP_COMPRESS},
    {"SASL-IR", IMAP_CAP_SASL_IR},
    {"STARTTLS", IMAP_CAP_STARTTLS},
    {"LOGINDISABLED", IMAP_CAP_LOGINDISABLED},
    {"UIDONLY", IMAP_CAP_UIDONLY},
    {"XLIST", IMAP_CAP_XLIST},
};

enum {
    REV2_INCLUDES = IMAP_CAP_ENABLE | IMAP_CAP_ESEARCH | IMAP_CAP_LIST_EXTENDED |
                    IMAP_CAP_LIST_STATUS | IMAP_CAP_SPECIAL_USE | IMAP_CAP_NAMESPACE |
                    IMAP_CAP_MOVE | IMAP_CAP_UIDPLUS | IMAP_CAP_IDLE | IMAP_CAP_UNSELECT |
                    IMAP_CAP_SASL_IR | IMAP_CAP_LITERAL_MINUS,
};

void imap_capabilities_clear(struct imap_capabilities *capabilities)
{
    if (capabilities->mechanisms)
        g_ptr_array_unref(capabilities->mechanisms);
    *capabilities = (struct imap_capabilities){.without = capabilities->without};
}

static unsigned word_flags(const char *word)
{
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++)
        if (g_ascii_strcasecmp(word, NAMES[i].name) == 0)
            return NAMES[i].flag;
    return g_ascii_strncasecmp(word, "QUOTA=", 6) == 0 ? IMAP_CAP_QUOTA : 0;
}

void imap_capabilities_set(struct imap_capabilities *capabilities, const char *const *words)
{
    imap_capabilities_clear(capabilities);
    capabilities->known = true;
    capabilities->mechanisms = g_ptr_array_new_with_free_func(g_free);
    bool broken = false;
    for (; words && *words; words++) {
        broken |= g_ascii_strcasecmp(*words, "XAPPLEPUSHSERVICE") == 0; /* iCloud */
        capabilities->flags |= word_flags(*words);
        if (g_ascii_strncasecmp(*words, "AUTH=", 5) == 0 && (*words)[5] &&
            capabilities->mechanisms->len < MECHANISMS_MAX)
            g_ptr_array_add(capabilities->mechanisms, g_ascii_strup(*words + 5, -1));
        if (g_ascii_strncasecmp(*words, "APPENDLIMIT=", 12) == 0)
            imap_digits_parse(*words + 12, G_MAXINT64, &capabilities->append_limit);
    }
    if (broken)
        capabilities->flags &= ~(unsigned)IMAP_CAP_QRESYNC;
    capabilities->flags &= ~capabilities->without;
}

void imap_capabilities_rev2(struct imap_capabilities *capabilities)
{
    capabilities->flags |= REV2_INCLUDES & ~capabilities->without;
}

bool imap_capabilities_mechanism(const struct imap_capabilities *capabilities, const char *name)
{
    for (guint i = 0; capabilities->mechanisms && i < capabilities->mechanisms->len; i++)
        if (g_ascii_strcasecmp(capabilities->mechanisms->pdata[i], name) == 0)
            return true;
    return false;
}
