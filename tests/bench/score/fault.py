"""A path that changes in the middle of a job: how soon the job is what it was before."""

from lib import servers
from lib.movers import MIB, Replctl

from .bed import PATH, Bed, Load
from .line import line

LOAD = Load(10, 256 * MIB)
LIMIT_S = 150
BEGIN_S = 20
BEFORE_S = 10  # so long before it begins is the earlier rate taken
WITHIN_S = 5
SHARE = 0.8


def _back(row, run, end_s):
    """The rate of the 5 s that follow the 5 s after the end, beside the earlier one."""
    course = run.course
    earlier = course.mbps(BEGIN_S - BEFORE_S, BEGIN_S)
    later = course.mbps(end_s + WITHIN_S, end_s + 2 * WITHIN_S)
    if later == 0:
        reason = f"the job had ended after {course.seconds:.0f} s"
        return line(f"{row}/back", None, "Mbit/s", earlier, least=SHARE, reason=reason)
    return line(f"{row}/back", later, "Mbit/s", earlier, least=SHARE,
                back_after_s=_back_after(course, end_s, SHARE * earlier), **run.figures())


def _back_after(course, end_s, mbps):
    """Seconds until the first second with the rate is over; None: never."""
    tenths = range(10, int((course.seconds - end_s) * 10))
    return next((tenth / 10 for tenth in tenths
                 if course.mbps(end_s + tenth / 10 - 1, end_s + tenth / 10) >= mbps), None)


def rate_drop(row, options, seconds, share, **path):
    """The rate falls to a share for some seconds."""
    with Bed(LOAD.scaled(options.scale), options.server, **path) as bed:
        number = float(PATH["rate"].removesuffix("mbit"))
        run = bed.run(Replctl(), LIMIT_S, events=[
            (BEGIN_S, lambda: bed.wan.set(rate=f"{number * share}mbit")),
            (BEGIN_S + seconds, lambda: bed.wan.set(rate=PATH["rate"]))])
        yield line(f"{row}/during", run.course.mbps(BEGIN_S + BEFORE_S, BEGIN_S + seconds),
                   "Mbit/s", number * share)
        yield _back(row, run, BEGIN_S + seconds)


def outage(row, options, seconds, **path):
    with Bed(LOAD.scaled(options.scale), options.server, **path) as bed:
        run = bed.run(Replctl(), LIMIT_S, events=[(BEGIN_S, lambda: bed.wan.outage(seconds))])
        yield _back(row, run, BEGIN_S + seconds)
        yield _sent_twice(row, bed, run)


def _sent_twice(row, bed, run):
    """Parts that the server was sent beyond those that objects are made of, at most one for each
    connection that there was."""
    if bed.server != "bucketd" or run.done < 1:
        return line(f"{row}/sent-twice", None, "parts", most=1,
                    reason="only for a whole job to bucketd")
    with bed.wan.far.entered():
        listed = servers.s3_client(bed.backend).list_objects_v2(Bucket=run.target)
    parts = sum(int(item["ETag"].strip('"').partition("-")[2] or 1) for item in listed["Contents"])
    return line(f"{row}/sent-twice", run.uploads - parts, "parts", run.course.peak_connections, most=1,
                parts=parts)
