"""Values of one thread (RQ's rq.local)."""

from __future__ import annotations

import threading

import pytest

from atomiq.local import Local, LocalManager, LocalProxy, LocalStack, release_local


def elsewhere(look: object) -> object:
    """What a function says in another thread."""
    said: list[object] = []
    thread = threading.Thread(target=lambda: said.append(look()))  # type: ignore[operator]
    thread.start()
    thread.join()
    return said[0]


def test_attributes() -> None:
    local = Local()
    local.user = "me"
    assert local.user == "me"
    assert elsewhere(lambda: hasattr(local, "user")) is False
    del local.user
    for missing in (lambda: local.user, lambda: delattr(local, "user")):
        with pytest.raises(AttributeError):
            missing()


def test_a_proxy_of_an_attribute() -> None:
    local = Local()
    proxy = local("numbers")
    with pytest.raises(RuntimeError, match="numbers"):
        len(proxy)
    assert repr(proxy) == "<LocalProxy unbound>"
    assert not proxy
    local.numbers = [1]
    proxy.append(2)
    proxy[0] = 7
    assert (proxy == [7, 2], list(proxy), len(proxy), 2 in proxy, proxy * 2) == (True, [7, 2], 2, True, [7, 2, 7, 2])
    assert repr(proxy) == "[7, 2]"
    local.numbers = 5
    assert (proxy + 1, 1 - proxy, -proxy, float(proxy), proxy < 6, hash(proxy)) == (6, -4, -5, 5.0, True, 5)


def test_a_proxy_of_a_function() -> None:
    assert LocalProxy(lambda: "text").upper() == "TEXT"


def test_a_stack() -> None:
    stack = LocalStack()
    assert (stack.pop(), stack.top, len(stack)) == (None, None, 0)
    stack.push("outer")
    stack.push("inner")
    proxy = stack()
    assert (stack.top, str(proxy), len(stack), elsewhere(lambda: len(stack))) == ("inner", "inner", 2, 0)
    assert (stack.pop(), stack.top) == ("inner", "outer")
    release_local(stack)
    with pytest.raises(RuntimeError):
        proxy.upper()


def test_a_manager_releases_all() -> None:
    local, stack = Local(), LocalStack()
    local.user = "me"
    stack.push(1)
    manager = LocalManager([local, stack])
    assert manager.get_ident() == threading.get_ident()
    assert LocalManager(local, ident_func=lambda: 7).get_ident() == 7
    manager.cleanup()
    assert not hasattr(local, "user")
    assert stack.top is None
