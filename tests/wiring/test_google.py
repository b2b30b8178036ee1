"""Passes over a whole project: how many calls to Google Cloud's APIs they make, and which permissions they use.

Both are counted by the servers. The bound is six calls and four for each region; the role is what is used, and no more.
"""

from regional_deploy.runner import permissions

MOST = 6 + 4 * 4


def asked(whole, app):
    """Make a pass; give the calls that arrived, and make sure that the pass knows how many they were."""
    del whole.calls[:]
    report = app.run_pass()
    assert report.google_calls == len(whole.calls)
    return list(whole.calls)


def test_a_scheduled_pass_keeps_to_the_bound(whole):
    """A process that has just begun knows nothing; what a pass must know is asked all the same, zone by zone."""
    calls = asked(whole, whole.app())
    assert len(calls) <= MOST, calls
    assert calls.count("GET aggregated/acceleratorTypes") == 1
    assert [call for call in calls if "quotaInfos/GPUS-PER-GPU-FAMILY" in call], "the H100 calls for Cloud Quotas"
    assert len([call for call in calls if call.endswith("getHealth")]) == 4 * len("abc")


def test_a_watching_process_asks_for_less(whole):
    """The catalogue stands for ten minutes and advice for some; clusters, quotas and health are asked again."""
    app = whole.app()
    passes = [asked(whole, app) for _ in range(6)]
    assert max(map(len, passes)) <= MOST
    assert [call for calls in passes for call in calls if "advice" in call], "what is left of the calls is used"
    last = passes[-1]
    assert not [call for call in last if "acceleratorTypes" in call or "advice" in call or "quotaInfos" in call]
    assert {"GET locations/-/clusters", "GET regions"} <= set(last)
    assert [call for call in last if call.endswith("getHealth")]


def test_the_role_is_what_is_used_and_no_more(whole):
    """Services of both kinds of ingress, advice and quotas work under the role alone, and no permission is idle.

    Nor where the listing leaves the config cluster out, which is then asked for by itself.
    """
    app = whole.app()
    for _ in range(4):
        assert int(app.run_pass().exit_code) == 0
    whole.stock.region_down(whole.config.location)
    assert int(whole.app().run_pass().exit_code) == 4
    whole.stock.region_up(whole.config.location)
    hunter = whole.google.tokens.service_account
    uses = [use for use in whole.google.uses if use.account == hunter]
    assert [use.permission for use in uses if not use.granted] == [], "used and not granted"
    assert {use.permission for use in uses} == set(permissions()), "granted and never used"
