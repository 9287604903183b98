#include "imap/copied.h"

#include <string.h>

struct imap_report {
    enum imap_report_kind kind;
    struct imap_uidset *asked; /* NULL: an APPEND */
    /* COPYUID, APPENDUID */
    bool told, nonsense;
    char *last;               /* the value told last: some servers say it untagged and tagged */
    GArray *from, *to;        /* of uint32_t, in the server's order */
    struct imap_uidset *gone; /* the same as `from` */
    struct imap_copied copied;
    /* MODIFIED; NULL: none */
    struct imap_uidset *modified;
};

static void uidset_join(struct imap_uidset *set, const struct imap_uidset *other)
{
    const struct imap_range *ranges;
    size_t count = imap_uidset_ranges(other, &ranges);

    for (size_t i = 0; i < count; i++)
        imap_uidset_add(set, ranges[i].first, ranges[i].last);
}

struct imap_report *imap_report_new(enum imap_report_kind kind, const struct imap_uidset *asked)
{
    struct imap_report *report = g_new0(struct imap_report, 1);

    report->kind = kind;
    report->gone = imap_uidset_new();
    report->from = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    report->to = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    if (!asked)
        return report;
    report->asked = imap_uidset_new();
    uidset_join(report->asked, asked);
    return report;
}

void imap_report_free(struct imap_report *report)
{
    if (!report)
        return;
    g_clear_pointer(&report->asked, imap_uidset_free);
    g_clear_pointer(&report->modified, imap_uidset_free);
    g_clear_pointer(&report->gone, imap_uidset_free);
    g_array_unref(report->from);
    g_array_unref(report->to);
    g_free(report->last);
    g_free(report);
}

/* ---- values of codes --------------------------------------------------------------------------
 */

/* Reads a number, moving behind it. Returns false if there is none, or above 2^32-1. */
static bool number_read(const char **text, uint32_t *number)
{
    uint64_t value = 0;
    const char *digit = *text;

    for (; g_ascii_isdigit(*digit); digit++) {
        value = value * 10 + (uint64_t)(*digit - '0');
        if (value > UINT32_MAX)
            return false;
    }
    if (digit == *text)
        return false;
    *text = digit;
    *number = (uint32_t)value;
    return true;
}

static bool range_append(GArray *uids, uint32_t first, uint32_t last)
{
    if (first == 0 || last < first || last - first >= IMAP_COPIED_MAX - uids->len)
        return false;
    for (uint64_t uid = first; uid <= last; uid++) {
        uint32_t one = (uint32_t)uid;
        g_array_append_val(uids, one);
    }
    return true;
}

/* A uid-set (RFC 4315, 4), in its order; "4:2" is 2:4. Moves behind it. */
static bool uids_read(const char **text, GArray *uids)
{
    do {
        uint32_t first, last;
        if (!number_read(text, &first))
            return false;
        last = first;
        if (**text == ':') {
            ++*text;
            if (!number_read(text, &last))
                return false;
        }
        if (!range_append(uids, MIN(first, last), MAX(first, last)))
            return false;
    } while (*(*text)++ == ',');
    --*text;
    return true;
}

static void blanks_skip(const char **text)
{
    *text += strspn(*text, " ");
}

/* What all codes of a request have in common. False: nothing new. */
static bool told_begin(struct imap_report *report, const char *value)
{
    if (report->nonsense || g_strcmp0(report->last, value) == 0)
        return false;
    g_free(report->last);
    report->last = g_strdup(value);
    return true;
}

static bool validity_read(struct imap_report *report, const char **value)
{
    uint32_t validity;

    if (!number_read(value, &validity) || (**value != ' ' && **value != '\0'))
        return false;
    if (report->told && report->copied.uidvalidity != validity)
        return false;
    report->copied.uidvalidity = validity;
    report->told = true;
    blanks_skip(value);
    return true;
}

/* "38505 304,319:320 3956:3958"; sets that are empty: nothing was copied. */
static bool copyuid_read(struct imap_report *report, const char *value)
{
    guint before = report->from->len;

    if (!validity_read(report, &value))
        return false;
    if (*value == '\0')
        return true;
    if (!uids_read(&value, report->from) || *value != ' ')
        return false;
    blanks_skip(&value);
    if (!uids_read(&value, report->to))
        return false;
    blanks_skip(&value);
    for (guint i = before; i < report->from->len; i++) {
        uint32_t uid = g_array_index(report->from, uint32_t, i);
        imap_uidset_add(report->gone, uid, uid);
    }
    return *value == '\0' && report->from->len == report->to->len;
}

/* "38505 3955" */
static bool appenduid_read(struct imap_report *report, const char *value)
{
    if (!validity_read(report, &value) || !uids_read(&value, report->to))
        return false;
    blanks_skip(&value);
    return *value == '\0' && report->to->len == 1;
}

static void code_copyuid(struct imap_report *report, const char *value)
{
    if (told_begin(report, value) && !copyuid_read(report, value))
        report->nonsense = true;
}

static void code_appenduid(struct imap_report *report, const char *value)
{
    if (told_begin(report, value) && !appenduid_read(report, value))
        report->nonsense = true;
}

static void code_modified(struct imap_report *report, const char *value)
{
    size_t length = strlen(value);
    const struct imap_range *ranges;

    while (length > 0 && value[length - 1] == ' ')
        length--;
    g_autoptr(imap_uidset) set = imap_uidset_parse(value, length);
    if (!report->modified)
        report->modified = imap_uidset_new();
    bool bounded = imap_uidset_ranges(report->modified, &ranges) < IMAP_COPIED_MAX;
    uidset_join(report->modified, set && bounded ? set : report->asked);
}

static const struct report_code {
    const char *code;
    void (*read)(struct imap_report *report, const char *value);
} CODES[] = {
    [IMAP_REPORT_COPIES] = {"COPYUID", code_copyuid},
    [IMAP_REPORT_MOVES] = {"COPYUID", code_copyuid},
    [IMAP_REPORT_STORES] = {"MODIFIED", code_modified},
    [IMAP_REPORT_APPEND] = {"APPENDUID", code_appenduid},
};

bool imap_report_knows(const struct imap_report *report, const char *code)
{
    return strcmp(code, CODES[report->kind].code) == 0;
}

bool imap_report_takes(const struct imap_report *report, const char *value)
{
    uint32_t validity, first;

    if (report->kind == IMAP_REPORT_APPEND)
        return !report->told;
    if (report->kind == IMAP_REPORT_STORES || !value || !number_read(&value, &validity))
        return false;
    blanks_skip(&value);
    return number_read(&value, &first) && imap_uidset_contains(report->asked, first) &&
           !imap_uidset_contains(report->gone, first);
}

enum imap_report_kind imap_report_kind(const struct imap_report *report)
{
    return report->kind;
}

void imap_report_code(struct imap_report *report, const char *value)
{
    CODES[report->kind].read(report, value ? value : "");
}

/* ---- the result -------------------------------------------------------------------------------
 */

static gint uid_compare(gconstpointer a, gconstpointer b)
{
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
    return (one > other) - (one < other);
}

/* Whether each is there once only. */
static bool is_unique(const GArray *uids)
{
    g_autoptr(GArray) sorted = g_array_copy((GArray *)uids);

    g_array_sort(sorted, uid_compare);
    for (guint i = 1; i < sorted->len; i++)
        if (g_array_index(sorted, uint32_t, i) == g_array_index(sorted, uint32_t, i - 1))
            return false;
    return true;
}

static bool is_sound(const struct imap_report *report)
{
    if (!report->asked)
        return true;
    for (guint i = 0; i < report->from->len; i++)
        if (!imap_uidset_contains(report->asked, g_array_index(report->from, uint32_t, i)))
            return false;
    return is_unique(report->from) && is_unique(report->to);
}

/* Never NULL, also where there are none. */
static const uint32_t *uids_array(const GArray *uids)
{
    static const uint32_t none;
    return uids->len > 0 ? (const uint32_t *)(void *)uids->data : &none;
}

const struct imap_copied *imap_report_copied(struct imap_report *report)
{
    struct imap_copied *copied = &report->copied;

    if (!report->told || report->nonsense || !is_sound(report))
        return NULL;
    copied->count = report->to->len;
    copied->from = report->asked ? uids_array(report->from) : NULL;
    copied->to = uids_array(report->to);
    return copied;
}

const struct imap_uidset *imap_report_modified(const struct imap_report *report)
{
    return report->modified;
}
