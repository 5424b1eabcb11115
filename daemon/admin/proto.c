#include "daemon/admin/proto.h"

#include "daemon/base/fail.h"

#include <errno.h>

#define PROTO_ROW(id, ...) [PROTO_##id] = {__VA_ARGS__},
const struct proto_command proto_commands[PROTO_COUNT] = {PROTO_COMMANDS(PROTO_ROW)};
#undef PROTO_ROW

static unsigned status_of_class(enum fail_class c)
{
    switch (c) {
    case FAIL_AUTH:
    case FAIL_PERMANENT:
    case FAIL_CORRUPT:
        return 422;
    case FAIL_RETRY:
    case FAIL_THROTTLE:
        return 502;
    case FAIL_NONE:
    case FAIL_GONE:
    case FAIL_BUG:
        break;
    }
    return 500;
}

unsigned proto_status(int code)
{
    switch (code) {
    case 0:
        return 200;
    case REPL_EBADINPUT:
        return 400;
    case REPL_ENOTFOUND:
        return 404;
    case REPL_EEXISTS:
    case REPL_ECONFLICT:
        return 409;
    case REPL_ETOOBIG:
        return 413;
    case REPL_EJOURNAL:
    case REPL_ECLOSED:
    case REPL_ECANCELED:
        return 503;
    case -ETIMEDOUT:
        return 504;
    default:
        return status_of_class(fail_class(code));
    }
}
