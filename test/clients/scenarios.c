/* One scenario with paho for C: paho <port> <default|5> <scenario>. Says what failed and ends with 1. */
#include <MQTTClient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { deadline_ms = 10000, large_bytes = 200000 };

static const char *port;
static const char *scenario;
static int five;
static char name[64];

#define CHECK(condition)                                                  \
  do {                                                                    \
    if (!(condition)) {                                                   \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);     \
      exit(1);                                                            \
    }                                                                     \
  } while (0)

/* The name of the scenario with something behind it; ten live at once. */
static char *with(const char *behind) {
  static char texts[10][256];
  static int next;
  char *text = texts[next++ % 10];
  snprintf(text, sizeof texts[0], "%s%s", name, behind);
  return text;
}

static MQTTClient open_client(const char *role, int clean, const char *will, int *present) {
  MQTTClient client;
  MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
  MQTTClient_connectOptions three = MQTTClient_connectOptions_initializer;
  MQTTClient_connectOptions five_options = MQTTClient_connectOptions_initializer5;
  MQTTClient_connectOptions *options = five ? &five_options : &three;
  MQTTClient_willOptions last = MQTTClient_willOptions_initializer;
  char uri[64];
  snprintf(uri, sizeof uri, "tcp://127.0.0.1:%s", port);
  if (five) create.MQTTVersion = MQTTVERSION_5;
  CHECK(MQTTClient_createWithOptions(&client, uri, with(role), MQTTCLIENT_PERSISTENCE_NONE, NULL,
                                     &create) == MQTTCLIENT_SUCCESS);
  options->connectTimeout = 10;
  if (will != NULL) {
    last.topicName = will;
    last.message = "gone";
    last.qos = 1;
    options->will = &last;
  }
  if (five) {
    MQTTProperties properties = MQTTProperties_initializer;
    MQTTProperty expiry;
    MQTTResponse response;
    options->cleanstart = clean;
    if (!clean) {
      expiry.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL;
      expiry.value.integer4 = 300;
      CHECK(MQTTProperties_add(&properties, &expiry) == 0);
    }
    response = MQTTClient_connect5(client, options, &properties, NULL);
    CHECK(response.reasonCode == MQTTREASONCODE_SUCCESS);
    MQTTResponse_free(response);
    MQTTProperties_free(&properties);
  } else {
    options->cleansession = clean;
    CHECK(MQTTClient_connect(client, options) == MQTTCLIENT_SUCCESS);
  }
  /* The library tells only for 3.1.1; with 5 what waited shows it. */
  if (present != NULL && !five) *present = options->returned.sessionPresent;
  return client;
}

static void close_client(MQTTClient client) {
  if (five) MQTTClient_disconnect5(client, 1000, MQTTREASONCODE_SUCCESS, NULL);
  else MQTTClient_disconnect(client, 1000);
  MQTTClient_destroy(&client);
}

static void subscribe(MQTTClient client, const char *topic, int qos) {
  if (five) {
    MQTTResponse response = MQTTClient_subscribe5(client, topic, qos, NULL, NULL);
    CHECK((int)response.reasonCode == qos);
    MQTTResponse_free(response);
  } else {
    CHECK(MQTTClient_subscribe(client, topic, qos) == MQTTCLIENT_SUCCESS);
  }
}

static void publish(MQTTClient client, const char *topic, const char *payload, int length, int qos,
                    int retained) {
  MQTTClient_deliveryToken token;
  if (five) {
    MQTTResponse response =
        MQTTClient_publish5(client, topic, length, payload, qos, retained, NULL, &token);
    CHECK(response.reasonCode == MQTTREASONCODE_SUCCESS);
    MQTTResponse_free(response);
  } else {
    CHECK(MQTTClient_publish(client, topic, length, payload, qos, retained, &token) ==
          MQTTCLIENT_SUCCESS);
  }
  if (qos > 0) CHECK(MQTTClient_waitForCompletion(client, token, deadline_ms) == MQTTCLIENT_SUCCESS);
}

static void say(MQTTClient client, const char *topic, const char *text, int qos, int retained) {
  publish(client, topic, text, (int)strlen(text), qos, retained);
}

/* The next message is this one. */
static void expect(MQTTClient client, const char *topic, const char *payload, int length, int qos,
                   int retained) {
  char *got_topic = NULL;
  int topic_length = 0;
  MQTTClient_message *message = NULL;
  CHECK(MQTTClient_receive(client, &got_topic, &topic_length, &message, deadline_ms) >= 0);
  CHECK(message != NULL);
  CHECK(strcmp(got_topic, topic) == 0);
  CHECK(message->payloadlen == length && memcmp(message->payload, payload, length) == 0);
  CHECK(message->qos == qos && message->retained == retained && !message->dup);
  MQTTClient_freeMessage(&message);
  MQTTClient_free(got_topic);
}

static void hear(MQTTClient client, const char *topic, const char *text, int qos, int retained) {
  expect(client, topic, text, (int)strlen(text), qos, retained);
}

static void do_connect(void) {
  for (int clean = 0; clean < 2; clean++) {
    int present = 0;
    MQTTClient client = open_client(clean ? "clean" : "kept", clean, NULL, &present);
    CHECK(!present);
    close_client(client);
  }
}

static void do_qos(void) {
  MQTTClient sub = open_client("sub", 1, NULL, NULL), pub = open_client("pub", 1, NULL, NULL);
  subscribe(sub, with("/+"), 2);
  for (int number = 0; number < 30; number++) {
    char topic[8], text[8];
    snprintf(topic, sizeof topic, "/%d", number % 3);
    snprintf(text, sizeof text, "%d", number);
    say(pub, with(topic), text, number % 3, 0);
    hear(sub, with(topic), text, number % 3, 0);
  }
  close_client(sub);
  close_client(pub);
}

static void do_retained(void) {
  MQTTClient pub = open_client("pub", 1, NULL, NULL), sub, late;
  say(pub, name, "stays", 1, 1);
  sub = open_client("sub", 1, NULL, NULL);
  subscribe(sub, name, 1);
  hear(sub, name, "stays", 1, 1);
  say(pub, name, "", 1, 1);
  hear(sub, name, "", 1, 0);
  late = open_client("late", 1, NULL, NULL);
  subscribe(late, name, 1);
  say(pub, name, "live", 1, 0);
  hear(late, name, "live", 1, 0);
  close_client(sub);
  close_client(late);
  close_client(pub);
}

/* A child of its own breaks off, as the library has no call for that. */
static void do_will(const char *self) {
  char command[512];
  MQTTClient watcher = open_client("watcher", 1, NULL, NULL);
  subscribe(watcher, name, 1);
  close_client(open_client("brief", 1, name, NULL));
  snprintf(command, sizeof command, "'%s' %s %s broken", self, port, five ? "5" : "default");
  CHECK(system(command) == 0);
  hear(watcher, name, "gone", 1, 0);
  close_client(watcher);
}

static void do_session(void) {
  int present = 0;
  MQTTClient first = open_client("kept", 0, NULL, &present), pub, again;
  CHECK(!present);
  subscribe(first, name, 2);
  close_client(first);
  pub = open_client("pub", 1, NULL, NULL);
  say(pub, name, "missed 1", 1, 0);
  say(pub, name, "missed 2", 2, 0);
  again = open_client("kept", 0, NULL, &present);
  CHECK(present || five);
  hear(again, name, "missed 1", 1, 0);
  hear(again, name, "missed 2", 2, 0);
  close_client(again);
  present = 0;
  close_client(open_client("kept", 1, NULL, &present));
  CHECK(!present);
  close_client(pub);
}

static void do_large(void) {
  MQTTClient sub = open_client("sub", 1, NULL, NULL), pub = open_client("pub", 1, NULL, NULL);
  char *payload = malloc(large_bytes);
  CHECK(payload != NULL);
  for (int at = 0; at < large_bytes; at++) payload[at] = (char)(at * 31);
  subscribe(sub, name, 2);
  for (int qos = 0; qos < 3; qos++) {
    publish(pub, name, payload, large_bytes, qos, 0);
    expect(sub, name, payload, large_bytes, qos, 0);
  }
  free(payload);
  close_client(sub);
  close_client(pub);
}

/* Publishes under all these topics; only the matching ones are heard. */
static void all_of(const char *filter, const char *const *sent, const char *const *heard) {
  MQTTClient sub = open_client("sub", 1, NULL, NULL), pub = open_client("pub", 1, NULL, NULL);
  subscribe(sub, with(filter), 1);
  for (; *sent != NULL; sent++) say(pub, with(*sent), *sent, 1, 0);
  for (; *heard != NULL; heard++) hear(sub, with(*heard), *heard, 1, 0);
  close_client(sub);
  close_client(pub);
}

static void do_shared(void) {
  char filter[128];
  int got[2] = {0, 0};
  MQTTClient members[2] = {open_client("one", 1, NULL, NULL), open_client("two", 1, NULL, NULL)};
  MQTTClient pub = open_client("pub", 1, NULL, NULL);
  snprintf(filter, sizeof filter, "$share/c/%s", name);
  for (int at = 0; at < 2; at++) subscribe(members[at], filter, 1);
  for (int number = 0; number < 40; number++) say(pub, name, "x", 1, 0);
  for (int tries = 0; tries < 2000 && got[0] + got[1] < 40; tries++) {
    char *topic = NULL;
    int length = 0;
    MQTTClient_message *message = NULL;
    int rc = MQTTClient_receive(members[tries % 2], &topic, &length, &message, 5);
    CHECK(rc >= 0);
    if (message == NULL) continue;
    got[tries % 2]++;
    MQTTClient_freeMessage(&message);
    MQTTClient_free(topic);
  }
  CHECK(got[0] + got[1] == 40 && got[0] > 0 && got[1] > 0);
  for (int at = 0; at < 2; at++) close_client(members[at]);
  close_client(pub);
}

int main(int count, char **arguments) {
  static const char *const sent[] = {"/a/c", "/a/b", "/a/c/d/e", "/a/b/c", "//c", "/b/c/", NULL};
  static const char *const heard[] = {"/a/c", "/a/c/d/e", "//c", "/b/c/", NULL};
  static const char *const scripts[] = {"/Gewächshaus/№ 1", "/温室/温度", "/дом", "/🌡️/é", NULL};
  CHECK(count == 4);
  port = arguments[1];
  five = strcmp(arguments[2], "5") == 0;
  scenario = arguments[3];
  snprintf(name, sizeof name, "c-%s-%s", arguments[2], scenario);
  if (strcmp(scenario, "connect") == 0) do_connect();
  else if (strcmp(scenario, "qos") == 0) do_qos();
  else if (strcmp(scenario, "retained") == 0) do_retained();
  else if (strcmp(scenario, "will") == 0) do_will(arguments[0]);
  else if (strcmp(scenario, "broken") == 0) {
    snprintf(name, sizeof name, "c-%s-will", arguments[2]);
    open_client("broken", 1, name, NULL);
    _exit(0);
  } else if (strcmp(scenario, "session") == 0) do_session();
  else if (strcmp(scenario, "large") == 0) do_large();
  else if (strcmp(scenario, "wildcard") == 0) all_of("/+/c/#", sent, heard);
  else if (strcmp(scenario, "unicode") == 0) all_of("/#", scripts, scripts);
  else if (strcmp(scenario, "shared") == 0) do_shared();
  else CHECK(!"a scenario");
  return 0;
}
