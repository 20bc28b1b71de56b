"""One scenario with paho for Python: scenarios.py <port> <default|5> <scenario>. Fails with a trace."""
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port, version, scenario = int(sys.argv[1]), sys.argv[2], sys.argv[3]
five = version == "5"
name = "py-%s-%s" % (version, scenario)
deadline = 10


class Client:
    """A client that remembers what it gets."""

    def __init__(self, role, clean=True, will=None):
        self.got, self.change, self.granted, self.connack = [], threading.Condition(), None, None
        more = {"protocol": mqtt.MQTTv5} if five else {"clean_session": clean}
        api = getattr(mqtt, "CallbackAPIVersion", None)
        first = [api.VERSION1] if api else []
        self.mqtt = mqtt.Client(*first, client_id=name + role, **more)
        self.mqtt.on_connect, self.mqtt.on_message = self.connected, self.message
        self.mqtt.on_subscribe = self.subscribed
        if will:
            self.mqtt.will_set(will, "gone", qos=1)
        connect = {}
        if five:
            connect["clean_start"] = clean
            if not clean:
                connect["properties"] = Properties(PacketTypes.CONNECT)
                connect["properties"].SessionExpiryInterval = 300
        self.mqtt.connect("127.0.0.1", port, **connect)
        self.mqtt.loop_start()
        self.until(lambda: self.connack is not None)
        assert self.connack["code"] == 0, self.connack

    def connected(self, _client, _data, flags, code, *_properties):
        with self.change:
            code = code if isinstance(code, int) else code.value
            self.connack = {"code": code, "present": flags["session present"]}
            self.change.notify_all()

    def message(self, _client, _data, message):
        with self.change:
            self.got.append((message.topic, message.payload, message.qos, bool(message.retain)))
            self.change.notify_all()

    def subscribed(self, _client, _data, _mid, granted, *_properties):
        with self.change:
            self.granted = [code if isinstance(code, int) else code.value for code in granted]
            self.change.notify_all()

    def until(self, condition):
        with self.change:
            assert self.change.wait_for(condition, deadline), (self.connack, self.granted, self.got)

    def subscribe(self, topic, qos):
        self.granted = None
        self.mqtt.subscribe(topic, qos)
        self.until(lambda: self.granted is not None)
        assert self.granted == [qos], self.granted

    def publish(self, topic, payload, qos=1, retain=False):
        info = self.mqtt.publish(topic, payload, qos, retain)
        end = time.monotonic() + deadline
        while not info.is_published():
            assert time.monotonic() < end, "not acknowledged"
            time.sleep(0.002)

    def expect(self, *messages):
        self.until(lambda: len(self.got) >= len(messages))
        assert self.got == list(messages), self.got
        self.got = []

    def vanish(self):
        """The connection breaks, and nothing is said."""
        self.mqtt.loop_stop(force=True)
        self.mqtt.socket().close()

    def end(self):
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


def connect():
    for clean in (True, False):
        client = Client(str(clean), clean)
        assert not client.connack["present"]
        client.end()


def qos():
    sub, pub = Client("sub"), Client("pub")
    sub.subscribe(name + "/+", 2)
    expected = []
    for number in range(60):
        level = number % 3
        pub.publish(name + "/%d" % level, str(number), level)
        expected.append((name + "/%d" % level, str(number).encode(), level, False))
    sub.until(lambda: len(sub.got) >= 60)
    for level in range(3):
        assert [m for m in sub.got if m[2] == level] == expected[level::3], sub.got
    assert len(sub.got) == 60
    sub.end()
    pub.end()


def retained():
    pub = Client("pub")
    pub.publish(name, "stays", 1, True)
    sub = Client("sub")
    sub.subscribe(name, 1)
    sub.expect((name, b"stays", 1, True))
    pub.publish(name, "", 1, True)
    sub.expect((name, b"", 1, False))
    late = Client("late")
    late.subscribe(name, 1)
    pub.publish(name, "live", 1)
    late.expect((name, b"live", 1, False))
    for client in (pub, sub, late):
        client.end()


def will():
    watcher = Client("watcher")
    watcher.subscribe(name, 1)
    Client("brief", will=name).end()
    Client("broken", will=name).vanish()
    watcher.expect((name, b"gone", 1, False))
    watcher.end()


def session():
    first = Client("kept", clean=False)
    first.subscribe(name, 2)
    first.end()
    pub = Client("pub")
    for level in (1, 2):
        pub.publish(name, "missed %d" % level, level)
    again = Client("kept", clean=False)
    assert again.connack["present"]
    again.expect(*[(name, b"missed %d" % level, level, False) for level in (1, 2)])
    again.end()
    fresh = Client("kept", clean=True)
    assert not fresh.connack["present"]
    fresh.end()
    pub.end()


def large():
    sub, pub = Client("sub"), Client("pub")
    sub.subscribe(name, 2)
    payload = bytes(range(256)) * 782
    for level in range(3):
        pub.publish(name, payload[:200000], level)
        sub.expect((name, payload[:200000], level, False))
    sub.end()
    pub.end()


def wildcard():
    sub, pub = Client("sub"), Client("pub")
    sub.subscribe(name + "/+/c/#", 1)
    for topic in ("/a/c", "/a/b", "/a/c/d/e", "/a/b/c", "//c", "/b/c/"):
        pub.publish(name + topic, topic)
    sub.expect(*[(name + topic, topic.encode(), 1, False) for topic in ("/a/c", "/a/c/d/e", "//c", "/b/c/")])
    sub.end()
    pub.end()


def unicode():
    sub, pub = Client("sub"), Client("pub")
    topics = [name + "/" + each for each in ("Gewächshaus/№ 1", "温室/温度", "дом", "🌡️/é")]
    sub.subscribe(name + "/#", 1)
    for topic in topics:
        pub.publish(topic, topic)
    sub.expect(*[(topic, topic.encode(), 1, False) for topic in topics])
    sub.end()
    pub.end()


def shared():
    members, pub = [Client("one"), Client("two")], Client("pub")
    for member in members:
        member.subscribe("$share/py/" + name, 1)
    for number in range(40):
        pub.publish(name, str(number))
    end = time.monotonic() + deadline
    while sum(len(member.got) for member in members) < 40 and time.monotonic() < end:
        time.sleep(0.01)
    got = [message[1] for member in members for message in member.got]
    assert sorted(got) == sorted(str(number).encode() for number in range(40)), got
    assert all(member.got for member in members), "one member got everything"
    for client in (*members, pub):
        client.end()


globals()[scenario]()
