"""Who shares the next call, decided from plain values."""

from dataclasses import dataclass, field
from math import inf

import pytest

from webui_image.engine.batching import FairClock, Knowledge, Tag, Work, choose


@dataclass
class Item:
    """A picture as the policy sees it."""

    name: str
    finish: float = 1.0
    user: str = ""
    work: Work = Work.STEP
    group: str = "small"
    rows: int = 2
    alone: bool = False
    order: int = 0
    tag: Tag = field(init=False)

    def __post_init__(self):
        self.tag = Tag(0.0, self.finish)
        self.user = self.user or self.name


def knowing(*, base=0.72, each=0.14, largest=1000, most=16, switch=None, slack=inf, tried=1000, prepare=0.1):
    """Tell what calls take: by default one of two rows takes 1 second, and every two more add 0.28."""

    def seconds(work, _group, rows):
        return prepare if work is Work.PREPARE else base + each * rows

    return Knowledge(
        seconds=seconds,
        largest=lambda _group: largest,
        switch=lambda group: (switch or {}).get(group, 0.0),
        slack=lambda _item, _users: slack,
        tried=lambda _work, _group: tried,
        virtual=lambda: 0.0,
        most=most,
    )


def names(call):
    return [item.name for item in call.pictures]


def strangers(count, **fields):
    return [Item(f"s{number}", finish=1 + number, **fields) for number in range(count)]


def test_nothing_to_do_is_no_call():
    """Without pictures there is no call."""
    assert choose([], knowing()) is None


def test_the_earliest_tag_leads_and_others_join_in_order():
    """A call holds the pictures of one group in the order of their tags."""
    items = [Item("late", 9.0), Item("early", 1.0), Item("middle", 5.0)]
    assert names(choose(items, knowing())) == ["early", "middle", "late"]


def test_groups_do_not_mix():
    """Pictures of another size, model or LoRA set are left for another call."""
    items = [Item("a", 1.0), Item("other", 2.0, group="large"), Item("b", 3.0)]
    assert names(choose(items, knowing())) == ["a", "b"]


def test_decoding_and_steps_do_not_mix():
    """Pictures that need another kind of work are left for another call."""
    items = [
        Item("a", 1.0),
        Item("drawn", 2.0, work=Work.FINISH, user="x"),
        Item("more", 9.0, user="x"),
        Item("b", 3.0),
    ]
    assert names(choose(items, knowing())) == ["a", "b", "more"]


def test_exact_pictures_are_alone():
    """A picture that must be alone has a call to itself, whether it leads or another does."""
    assert names(choose([Item("exact", 1.0, alone=True), Item("b", 2.0)], knowing())) == ["exact"]
    assert names(choose([Item("a", 1.0), Item("exact", 2.0, alone=True), Item("b", 3.0)], knowing())) == ["a", "b"]


def test_no_more_pictures_than_allowed():
    """Neither the bound on pictures nor that on rows is exceeded."""
    assert len(choose(strangers(40), knowing(most=8)).pictures) == 8
    assert len(choose(strangers(40), knowing(largest=10)).pictures) == 5


def test_two_users_make_a_call_at_most_sixteen_tenths_of_one_alone():
    """With two users, company is what keeps the call within 0.8 x 2 times a single picture's."""
    heavy = [Item(f"h{number}", 5.0 + number, user="heavy") for number in range(20)]
    call = choose([Item("single", 1.0), *heavy], knowing())
    assert len(call.pictures) == 3  # 1.0, 1.28, 1.56 seconds; 1.84 would be too long


def test_who_is_late_gets_less_company():
    """A picture that waited beyond its share is slowed down no further than it can bear."""
    heavy = [Item(f"h{number}", 5.0 + number, user="heavy") for number in range(20)]
    assert len(choose([Item("single", 1.0), *heavy], knowing(slack=1.35)).pictures) == 2


def test_company_that_gains_nothing_is_left_out():
    """Where a call of two takes as long as two calls, pictures are drawn one after the other."""
    compute_bound = knowing(base=0.0, each=0.5)
    assert len(choose(strangers(10), compute_bound).pictures) == 1


def test_company_is_tried_where_it_never_was():
    """What was never measured with company gets some, so that it becomes known."""
    assert len(choose(strangers(10), knowing(base=0.0, each=0.5, tried=2)).pictures) > 1


def test_newcomers_are_prepared_to_join():
    """Pictures whose prompts are not encoded yet are got ready for this call where there is room."""
    items = [Item("a", 1.0), Item("new", 2.0, work=Work.PREPARE), Item("b", 3.0)]
    call = choose(items, knowing())
    assert (names(call), [item.name for item in call.prepare]) == (["a", "b"], ["new"])


def test_a_switch_of_models_waits_for_those_in_memory():
    """A model that has to be loaded first is put off by what loading it takes, and no longer."""
    items = [Item("unloaded", 1.0, group="other"), Item("here", 3.0)]
    assert names(choose(items, knowing(switch={"other": 5.0}))) == ["here"]
    assert names(choose(items, knowing(switch={"other": 1.0}))) == ["unloaded"]


def test_a_finished_picture_of_a_single_request_goes_first():
    """Decoding is short and ends somebody's wait."""
    items = [Item("a", 1.0), Item("drawn", 9.0, work=Work.FINISH)]
    assert names(choose(items, knowing())) == ["drawn"]


def test_a_call_of_an_only_user_leaves_room_for_a_newcomer():
    """An only user's call is one of the sizes that give nearly the most, not the longest of them."""
    only = [Item(f"h{number}", 1.0 + number, user="heavy") for number in range(40)]
    call = choose(only, knowing(most=32))
    assert 4 <= len(call.pictures) <= 11


@pytest.mark.parametrize("outstanding", [1, 4, 40], ids=lambda count: f"{count} before it")
def test_later_pictures_of_a_user_weigh_less(outstanding):
    """A newcomer's picture is before all but the first of a user with many."""
    clock = FairClock()
    for number in range(outstanding + 1):
        last = clock.tag("heavy", 1.0, number)
    assert clock.tag("light", 1.0, 0).finish < last.finish


def test_virtual_time_passes_slower_with_more_users():
    """A second of work advances two users' virtual time by half a second."""
    clock = FairClock()
    tags = [("a", clock.tag("a", 10.0, 0)), ("b", clock.tag("b", 10.0, 0))]
    clock.advance(1.0, tags)
    assert clock.now == pytest.approx(0.5)
