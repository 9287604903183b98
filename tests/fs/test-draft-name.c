/* Which names stay in the mount, and which directories are never made. */
#include <glib.h>

#include "fs/draft-name.h"

static const struct {
    const char *name;
    bool scratch;
} FILES[] = {
    {".x", true},
    {".", true},
    {".x.eml.AbCdEf", true},         /* rsync */
    {".goutputstream-AB12CD", true}, /* gio */
    {".~lock.x.eml#", true},         /* LibreOffice */
    {".2026-11-20 A - B [3].eml.swp", true},
    {".DS_Store", true},
    {"._x.eml", true},
    {".trashinfo", true},
    {"x~", true},
    {"x.eml~", true},
    {"x.eml.~12~", true},
    {"x.eml~12345", true}, /* git apply */
    {"#x.eml#", true},
    {"x.swp", true},
    {"X.SWO", true},
    {"x.swx", true},
    {"4913", true},
    {"5036", true},
    {"x.tmp", true},
    {"x.eml.part", true},
    {"x.eml.crdownload", true},
    {"x.bak", true},
    {"x.bak2", true},
    {"x.orig", true},
    {"sedAbC12Z", true},
    {"tmpab_d1234", true},
    {"tmp.AbCdEfGhIj", true},
    {"x.eml.AbCdEf", true}, /* Qt */
    {"~$x.docx", true},
    {"desktop.ini", true},
    {"Thumbs.db", true},
    {"autorun.inf", true},

    {"x", false},
    {"x.eml", false},
    {"2026-11-20 A - B [3].eml", false},
    {"2026-11-20 A - B [3]", false},
    {"x~y.eml", false},
    {"a ~ b", false},
    {"~", true},
    {"x~12b", false},
    {"~5 o'clock.eml", false},
    {"#1", false},
    {"#1 hit.eml", false},
    {"49130", false},
    {"4913.eml", false},
    {"swp", false},
    {"x.swp.eml", false},
    {"x.tmp.eml", false},
    {"tmp", false},
    {"tmp.eml", false},
    {"tmpabcdefgh.eml", false},
    {"sed.eml", false},
    {"sedimentary", false},
    {"x.rfc822", false},
    {"x.eml.rfc822", false},
    {"part", false},
    {"partial.eml", false},
    {"new.mail", false},
    {"desktop.ini.eml", false},
    {"report.pdf", false},
    {"1720000000.M1P2.host:2,S", false}, /* Maildir */
    {"\xc3\x9c.eml", false},
};

static const struct {
    const char *name;
    bool refused;
} DIRECTORIES[] = {
    {".Trash", true},
    {".Trash-1000", true},
    {".git", true},
    {".mailmount", true},
    {"$RECYCLE.BIN", true},
    {"System Volume Information", true},
    {"lost+found", true},
    {"__MACOSX", true},
    {"2026-11-20 A - B [3]", true},
    {"x [123]", true},
    {"2026-11-20 A - B [3].eml", true},

    {"Archive", false},
    {"Trash", false},
    {"2026", false},
    {"x [0]", false},
    {"x [abc]", false},
    {"[123]", false},
    {"Recycle", false},
    {"a.b", false},
    {"x~", false},
    {"tmp", false},
};

static void test_files(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(FILES); i++) {
        g_test_message("%s", FILES[i].name);
        g_assert_cmpint(draft_is_scratch(FILES[i].name), ==, FILES[i].scratch);
    }
}

static void test_directories(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(DIRECTORIES); i++) {
        g_test_message("%s", DIRECTORIES[i].name);
        g_assert_cmpint(draft_is_no_mailbox(DIRECTORIES[i].name), ==, DIRECTORIES[i].refused);
    }
}

/* Many stars in a name, and a name as long as there can be, take no time. */
static void test_long(void)
{
    g_autofree char *name = g_strnfill(255, '#');
    g_assert_true(draft_is_scratch(name));
    name[254] = 'x';
    g_assert_false(draft_is_scratch(name));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/draft/name/files", test_files);
    g_test_add_func("/draft/name/directories", test_directories);
    g_test_add_func("/draft/name/long", test_long);
    return g_test_run();
}
