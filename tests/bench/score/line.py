"""One line of the card."""

import json
import os


def _round(value):
    return value if value is None or isinstance(value, (str, bool)) else float(f"{value:.4g}")


def _asked(sign, factor, plus):
    times = [f"{factor:g}x"] if factor else []
    return f"{sign} " + " + ".join(times + ([f"{plus:.4g}"] if plus or not times else []))


def line(row, value, unit, reference=None, least=None, most=None, plus=0, **more):
    """A line with a bound that follows from the reference: at least (or at most) so many times it,
    plus so much; 0 times needs no reference. Without either, it is a figure that no promise is
    about: bound and ok are None. value None: it could not be measured; then more has the reason,
    and ok is False."""
    factor = least if least is not None else most
    bound = plus if factor == 0 else \
        None if factor is None or reference is None else factor * reference + plus
    ok = None
    if factor is not None:
        ok = value is not None and bound is not None and \
            (value >= bound if least is not None else value <= bound)
    ratio = value / reference if value is not None and reference else None
    asked = "" if factor is None else \
        _asked(">=" if least is not None else "<=", factor, plus)
    return {"row": row, "value": _round(value), "unit": unit, "reference": _round(reference),
            "ratio": _round(ratio), "bound": _round(bound), "ok": ok, "asked": asked,
            "load": round(os.getloadavg()[0], 1), **more}


def show(found, as_json):
    if as_json:
        print(json.dumps(found), flush=True)
        return
    mark = {None: "", True: "met", False: "MISSED"}[found["ok"]]
    known = ("row", "value", "unit", "reference", "ratio", "bound", "ok", "asked")
    more = " ".join(f"{key}={value}" for key, value in found.items() if key not in known)
    cells = ["-" if found[key] is None else found[key]
             for key in ("value", "reference", "ratio", "bound")]
    print(f"{found['row']:24} {cells[0]:>9} {found['unit']:9} {cells[1]:>9} {cells[2]:>7} "
          f"{found['asked']:>14} {cells[3]:>9} {mark:6}  {more}", flush=True)


HEAD = (f"{'row':24} {'value':>9} {'unit':9} {'reference':>9} {'ratio':>7} {'asked':>14} "
        f"{'bound':>9}")
