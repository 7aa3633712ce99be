from msgspec.structs import replace

from gateway.policies.remembered import Remembered
from gateway.view_list import ViewList
from tests.gateway.fleets import view

A, B, C = view("a"), view("b"), view("c")


def test_a_replica_keeps_its_number_while_others_come_and_go_and_while_it_is_away() -> None:
    remembered = Remembered()
    remembered.of([A, B])[:] = [1.0, 2.0]
    assert remembered.of([B, C]) == [2.0, 0]
    remembered.of([B, C])[1] = 3.0
    assert remembered.of(ViewList([A, B, C])) == [1.0, 2.0, 3.0]


def test_numbers_of_a_list_that_stays_are_changed_in_place() -> None:
    remembered, views = Remembered(), ViewList([A, B])
    remembered.of(views)[0] = 5.0
    views.columns.replace(0, replace(A, requests=1))
    assert remembered.of(views) is remembered.of(views)
    assert remembered.of([B, A]) == [0, 5.0]


def test_names_that_change_with_each_deployment_are_forgotten() -> None:
    remembered = Remembered()
    for number in range(20_000):
        remembered.of([view(str(number))])[0] = 1.0
    assert remembered.of([view("0"), view("19999")]) == [0, 1.0]
