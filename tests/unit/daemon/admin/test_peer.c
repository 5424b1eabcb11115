/* Groups of the user at the other end of the control socket. */
#include "daemon/admin/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#define NOBODY_ELSE ((uid_t)4123456) /* no account has it */

static void test_groups(void **state)
{
    (void)state;
    char root[64];
    char other[64];
    const struct group *zero = getgrgid(0);
    if (zero == NULL) {
        skip();
    }
    snprintf(root, sizeof(root), "%s", zero->gr_name);
    const struct passwd *user = getpwnam("nobody");
    const struct group *own = user != NULL ? getgrgid(user->pw_gid) : NULL;
    if (own == NULL) {
        skip();
    }
    snprintf(other, sizeof(other), "%s", own->gr_name);
    uid_t nobody = user->pw_uid;
    assert_true(peer_in_group(nobody, NOBODY_ELSE, other));
    assert_false(peer_in_group(nobody, NOBODY_ELSE, root));
    assert_true(peer_in_group(NOBODY_ELSE, 0, root));
    assert_false(peer_in_group(NOBODY_ELSE, NOBODY_ELSE, root));
    assert_false(peer_in_group(nobody, NOBODY_ELSE, "no-such-group"));
    assert_false(peer_in_group(nobody, NOBODY_ELSE, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_groups)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
