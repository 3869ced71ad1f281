"""A client's own thread may take partitions away between any two of the worker's calls."""

from kafka import TopicPartition

from consumers.engine.assignment import let_flow, where_ours

HERE = TopicPartition("t", 0)
GONE = TopicPartition("t", 1)


class Client:
    """A consumer as kafka-python 3 speaks: it owns HERE, and GONE no more."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []

    def seek(self, where: TopicPartition, offset: int) -> None:
        if where == GONE:
            raise ValueError("Unassigned partition")
        self.done.append(("seek", where, offset))

    def resume(self, *partitions: TopicPartition) -> None:
        for where in partitions:
            if where == GONE:
                raise KeyError(where)
            self.done.append(("resume", where))


def test_a_partition_flows_from_where_it_was_adopted() -> None:
    client = Client()
    assert let_flow(client, HERE, 7)
    assert client.done == [("seek", HERE, 7), ("resume", HERE)]


def test_a_partition_that_is_gone_is_left_to_its_next_owner() -> None:
    client = Client()
    assert not let_flow(client, GONE, 7)
    assert client.done == []


def test_of_several_partitions_those_that_are_ours_go_on() -> None:
    client = Client()
    where_ours(client.resume, [GONE, HERE])
    assert client.done == [("resume", HERE)]
