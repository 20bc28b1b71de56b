import { parseStatements } from './statements.ts';

/** The numbered statements of MQTT 3.1.1 (OASIS, with errata 01; appendix B lists them). */
export const statements311 = parseStatements(`
1.5.3-1 both A string is well-formed UTF-8 without surrogates; otherwise the connection is closed.
1.5.3-2 both A string has no U+0000; otherwise the connection is closed.
1.5.3-3 both U+FEFF in a string is a character like any other and is never removed.
2.2.2-1 both Reserved flags have the values of the table.
2.2.2-2 both Invalid flags close the connection.
2.3.1-1 client SUBSCRIBE, UNSUBSCRIBE and PUBLISH with a QoS have a packet identifier that is not zero.
2.3.1-2 client A new packet gets an identifier that is not in use.
2.3.1-3 client A packet that is sent again keeps its identifier, which is free again after its acknowledgement.
2.3.1-4 server The same holds for what the server publishes with a QoS.
2.3.1-5 both PUBLISH with QoS 0 has no packet identifier.
2.3.1-6 both PUBACK, PUBREC and PUBREL carry the identifier of their PUBLISH.
2.3.1-7 server SUBACK and UNSUBACK carry the identifier of their request.
3.1.0-1 client The first packet is CONNECT.
3.1.0-2 server A second CONNECT is a violation and ends the connection.
3.1.2-1 server Under another protocol name a CONNECT is not served as MQTT 3.1.1.
3.1.2-2 server A protocol level that is not supported gets return code 1, and the connection is closed.
3.1.2-3 server The reserved flag of CONNECT is 0, or the connection is closed.
3.1.2-4 server Without clean session the session goes on, or a new one is made; it is kept after the connection.
3.1.2-5 server While such a client is away, QoS 1 and 2 messages for it are kept.
3.1.2-6 both With clean session an earlier session is discarded, and the new one ends with the connection.
3.1.2-7 server Retained messages outlive sessions.
3.1.2-8 server The will is kept with the connection and published when it ends without DISCONNECT.
3.1.2-9 server With the will flag, topic and message of the will are there, and its QoS and retain flag are used.
3.1.2-10 server A will is gone once published or once DISCONNECT has come.
3.1.2-11 client Without the will flag, the other will flags are 0 and its fields are absent.
3.1.2-12 server Without the will flag no will is published.
3.1.2-13 client Without the will flag the will QoS is 0.
3.1.2-14 client The will QoS is never 3.
3.1.2-15 client Without the will flag the will retain flag is 0.
3.1.2-16 server A will without retain is published as a message that is not retained.
3.1.2-17 server A will with retain is published as a retained message.
3.1.2-18 client Without its flag there is no user name.
3.1.2-19 client With its flag there is a user name.
3.1.2-20 client Without its flag there is no password.
3.1.2-21 client With its flag there is a password.
3.1.2-22 client There is no password flag without the flag of the user name.
3.1.2-23 client A client that has nothing to send within its keep alive sends PINGREQ.
3.1.2-24 server A client silent for one and a half times its keep alive is disconnected.
3.1.3-1 client The fields of CONNECT are in the order that the specification gives.
3.1.3-2 both Sessions are told apart by the client identifier.
3.1.3-3 client The client identifier is present and first.
3.1.3-4 client The client identifier is UTF-8.
3.1.3-5 server Identifiers of 1 to 23 letters and digits are allowed.
3.1.3-6 server A client without an identifier gets one that is unique.
3.1.3-7 client A client without an identifier asks for a clean session.
3.1.3-8 server No identifier and no clean session: return code 2, and the connection is closed.
3.1.3-9 server An identifier that is refused gets return code 2, and the connection is closed.
3.1.3-10 client The will topic is UTF-8.
3.1.3-11 client The user name is UTF-8.
3.1.4-1 server A CONNECT that does not conform closes the connection without CONNACK.
3.1.4-2 server A client that connects again takes the place of its earlier connection.
3.1.4-3 server Clean session is acted on.
3.1.4-4 server A sound CONNECT gets CONNACK with return code 0.
3.1.4-5 server After a CONNECT that was refused nothing is processed.
3.2.0-1 server The first packet from the server is CONNACK.
3.2.2-1 server With clean session, session present is 0.
3.2.2-2 server Without clean session and with a kept session, session present is 1.
3.2.2-3 server Without a kept session, session present is 0.
3.2.2-4 server With a return code that is not 0, session present is 0.
3.2.2-5 server After a return code that is not 0, the connection is closed.
3.2.2-6 server Where no return code fits, the connection is closed without CONNACK.
3.3.1-1 both A PUBLISH that is sent again has DUP set.
3.3.1-2 both QoS 0 never has DUP set.
3.3.1-3 server DUP of what came in is not passed on to subscribers.
3.3.1-4 both A PUBLISH with QoS 3 closes the connection.
3.3.1-5 server A message with retain is stored with its QoS for later subscribers.
3.3.1-6 server A new subscription gets the last retained message of each topic that matches.
3.3.1-7 server A retained QoS 0 message takes the place of the one before.
3.3.1-8 server What is sent because of a new subscription has retain set.
3.3.1-9 server What is sent to a subscription that stands has retain clear.
3.3.1-10 server An empty retained message is delivered and removes what was retained.
3.3.1-11 server An empty message is never retained.
3.3.1-12 server A message without retain changes nothing that is retained.
3.3.2-1 both The topic comes first in PUBLISH and is UTF-8.
3.3.2-2 both The topic of a PUBLISH has no wildcards.
3.3.2-3 server What a subscriber is sent matches its filter.
3.3.4-1 both A PUBLISH is answered as its QoS asks.
3.3.5-1 server Where subscriptions overlap, the highest QoS among them counts.
3.3.5-2 server A PUBLISH that is not allowed is acknowledged as usual, or the connection is closed.
3.6.1-1 both The flags of PUBREL are 0010, or the connection is closed.
3.8.1-1 both The flags of SUBSCRIBE are 0010, or the connection is closed.
3.8.3-1 client Filters in SUBSCRIBE are UTF-8.
3.8.3-2 server A server without wildcards refuses filters with wildcards. -- Wildcards are supported.
3.8.3-3 client SUBSCRIBE has at least one filter.
3.8.3-4 server Reserved bits beside a requested QoS, or QoS 3, close the connection.
3.8.4-1 server SUBSCRIBE gets SUBACK.
3.8.4-2 server SUBACK has the identifier of its SUBSCRIBE.
3.8.4-3 server A filter subscribed to again replaces the subscription, sends what is retained again, and loses nothing.
3.8.4-4 server Several filters in one SUBSCRIBE act like several SUBSCRIBE packets with one SUBACK.
3.8.4-5 server SUBACK has a return code for each filter.
3.8.4-6 server A message is delivered with the lower of its QoS and the granted QoS.
3.9.3-1 server Return codes are in the order of the filters.
3.9.3-2 server SUBACK uses no return codes but 0, 1, 2 and 0x80.
3.10.1-1 both The flags of UNSUBSCRIBE are 0010, or the connection is closed.
3.10.3-1 client Filters in UNSUBSCRIBE are UTF-8.
3.10.3-2 client UNSUBSCRIBE has at least one filter.
3.10.4-1 server A filter in UNSUBSCRIBE ends the subscription with exactly that filter and no other.
3.10.4-2 server After UNSUBSCRIBE no new message is added for the client.
3.10.4-3 server What was begun at QoS 1 or 2 before UNSUBSCRIBE is completed.
3.10.4-4 server UNSUBSCRIBE gets UNSUBACK with its identifier.
3.10.4-5 server UNSUBACK comes even where nothing was subscribed.
3.10.4-6 server Several filters in one UNSUBSCRIBE get one UNSUBACK.
3.12.4-1 server PINGREQ gets PINGRESP.
3.14.1-1 server The flags of DISCONNECT are 0, or the connection is closed.
3.14.4-1 client After DISCONNECT a client closes the connection.
3.14.4-2 client After DISCONNECT a client sends nothing.
3.14.4-3 server DISCONNECT discards the will.
4.1.0-1 both Session state is kept for as long as the session lasts.
4.1.0-2 both A session lasts at least as long as its connection.
4.3.1-1 both QoS 0 is sent with DUP clear.
4.3.2-1 both A QoS 1 sender uses a free identifier, DUP clear, and holds the message until PUBACK.
4.3.2-2 both A QoS 1 receiver answers PUBACK with the identifier; after it, the identifier is a new message.
4.3.3-1 both A QoS 2 sender uses a free identifier, DUP clear, and goes PUBLISH, PUBREC, PUBREL, PUBCOMP without going back.
4.3.3-2 both A QoS 2 receiver answers PUBREC, delivers once until PUBREL, answers PUBCOMP, and then takes the identifier anew.
4.4.0-1 both On reconnection PUBLISH and PUBREL that were not acknowledged are sent again with their identifiers.
4.5.0-1 server A message is added to the session of every client with a subscription that matches.
4.5.0-2 client A client acknowledges whatever it gets.
4.6.0-1 both PUBLISH packets are sent again in their first order.
4.6.0-2 both PUBACK packets are in the order of their PUBLISH packets.
4.6.0-3 both PUBREC packets are in the order of their PUBLISH packets.
4.6.0-4 both PUBREL packets are in the order of their PUBREC packets.
4.6.0-5 server Every topic keeps its order unless told otherwise.
4.6.0-6 server Subscribers get the messages of one topic and QoS from one client in the order sent.
4.7.1-1 both Wildcards are for filters, not for topics.
4.7.1-2 client "#" stands alone or behind "/", and is last.
4.7.1-3 client "+" fills a whole level.
4.7.2-1 server A filter that begins with a wildcard does not match a topic that begins with "$".
4.7.3-1 both Topics and filters have at least one character.
4.7.3-2 both Topics and filters have no U+0000.
4.7.3-3 both Topics and filters have at most 65,535 bytes.
4.7.3-4 server Matching normalises and replaces nothing.
4.8.0-1 both A protocol violation closes the connection.
4.8.0-2 both A passing fault in processing a packet closes its connection.
6.0.0-1 both Over WebSocket, a frame that is not binary closes the connection.
6.0.0-2 both WebSocket frames may hold parts of packets and several.
6.0.0-3 client The client offers the subprotocol "mqtt".
6.0.0-4 server The server chooses the subprotocol "mqtt".
7.0.0-1 server A server that connects to others is also a client that conforms. -- The sink that connects to other brokers uses MQTT.js, which is not tested here.
7.0.0-2 both No extension is needed to work together.
7.1.1-1 server A transport is offered that is ordered and loses nothing.
7.1.2-1 client A transport is used that is ordered and loses nothing.
`);
