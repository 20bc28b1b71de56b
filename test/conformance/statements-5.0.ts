import { parseStatements } from './statements.ts';

/** The numbered statements of MQTT 5.0 (OASIS; appendix B lists them). */
export const statements50 = parseStatements(`
1.5.4-1 both A string is well-formed UTF-8 without surrogates.
1.5.4-2 both A string has no U+0000.
1.5.4-3 both U+FEFF in a string is a character like any other and is never removed.
1.5.5-1 both A variable byte integer has as few bytes as its value needs.
1.5.7-1 both Both strings of a pair are UTF-8.
2.1.3-1 both Reserved flags have the values of the table.
2.2.1-2 both PUBLISH with QoS 0 has no packet identifier.
2.2.1-3 client SUBSCRIBE, UNSUBSCRIBE and PUBLISH with a QoS get an identifier that is free and not zero.
2.2.1-4 server What the server publishes with a QoS gets an identifier that is free and not zero.
2.2.1-5 both PUBACK, PUBREC, PUBREL and PUBCOMP carry the identifier of their PUBLISH.
2.2.1-6 server SUBACK and UNSUBACK carry the identifier of their request.
2.2.2-1 both No properties are said with a length of zero.
3.1.0-1 client The first packet is CONNECT.
3.1.0-2 server A second CONNECT is a protocol error and ends the connection.
3.1.2-1 server The protocol name is MQTT, or the connection is closed.
3.1.2-2 server A version that is not supported may get 0x84, and the connection is closed.
3.1.2-3 server The reserved flag of CONNECT is 0, or it is malformed.
3.1.2-4 both With clean start an earlier session is discarded.
3.1.2-5 server Without clean start a session that is there goes on.
3.1.2-6 server Without clean start and without a session a new one is made.
3.1.2-7 server The will is kept with the session.
3.1.2-8 server The will is published after the connection ends and its delay or the session is over, unless it was deleted.
3.1.2-9 client With the will flag the fields of the will are present.
3.1.2-10 server A will is gone once published or once DISCONNECT with 0x00 has come.
3.1.2-11 client Without the will flag the will QoS is 0.
3.1.2-12 client The will QoS is never 3.
3.1.2-13 client Without the will flag the will retain flag is 0.
3.1.2-14 server A will without retain is published as a message that is not retained.
3.1.2-15 server A will with retain is published as a retained message.
3.1.2-16 client Without its flag there is no user name.
3.1.2-17 client With its flag there is a user name.
3.1.2-18 client Without its flag there is no password.
3.1.2-19 client With its flag there is a password.
3.1.2-20 client A client that has nothing to send within its keep alive sends PINGREQ.
3.1.2-21 client The server's keep alive goes before the client's.
3.1.2-22 server A client silent for one and a half times its keep alive is disconnected.
3.1.2-23 both Session state is kept after the connection while its expiry interval is above 0.
3.1.2-24 server No packet goes to a client that is larger than its maximum packet size.
3.1.2-25 server A message too large for a client is dropped as if it had been delivered.
3.1.2-26 server No topic alias to a client is above its topic alias maximum.
3.1.2-27 server Without a topic alias maximum a client gets no topic aliases.
3.1.2-28 server Response information goes to nobody who has not asked for it.
3.1.2-29 server Without problem information, reason strings and user properties are only in PUBLISH, CONNACK and DISCONNECT.
3.1.2-30 client A client with an authentication method sends AUTH or DISCONNECT only, until CONNACK.
3.1.3-1 client The fields of CONNECT are in the order that the specification gives.
3.1.3-2 both Sessions are told apart by the client identifier.
3.1.3-3 client The client identifier is present and first.
3.1.3-4 client The client identifier is UTF-8.
3.1.3-5 server Identifiers of 1 to 23 letters and digits are allowed.
3.1.3-6 server A client without an identifier gets one that is unique.
3.1.3-7 server The assigned identifier is used as if given, and returned in CONNACK.
3.1.3-8 server Where an identifier is refused, the connection is closed.
3.1.3-9 server A client that is back within the will delay has no will published.
3.1.3-10 server The user properties of a will keep their order.
3.1.3-11 client The will topic is UTF-8.
3.1.3-12 client The user name is UTF-8.
3.1.4-1 server A CONNECT that does not conform closes the connection.
3.1.4-2 server A client that fails the checks of the server is not served.
3.1.4-3 server A client that connects again ends its earlier connection, which is told 0x8E.
3.1.4-4 server Clean start is acted on.
3.1.4-5 server A sound CONNECT gets CONNACK with 0x00.
3.1.4-6 server After a CONNECT that was refused nothing but AUTH is processed.
3.2.0-1 server CONNACK with 0x00 goes before any other packet but AUTH.
3.2.0-2 server There is one CONNACK per connection.
3.2.2-1 server Bits 7 to 1 of the acknowledge flags are 0.
3.2.2-2 server With clean start, session present is 0.
3.2.2-3 server Without clean start, session present says whether there is a session.
3.2.2-4 client A client without state that sees session present closes the connection.
3.2.2-5 client A client with state that sees no session present discards its state.
3.2.2-6 server With a reason code that is not 0, session present is 0.
3.2.2-7 server After a reason code of 128 or more, the connection is closed.
3.2.2-8 server CONNACK uses a reason code from its table.
3.2.2-9 server A server without QoS 1 or 2 says so in CONNACK. -- Every QoS is supported; the test of [MQTT5-3.2.2-8] sees that no Maximum QoS is sent.
3.2.2-10 server A server without QoS 1 or 2 still accepts subscriptions with them. -- Every QoS is supported.
3.2.2-11 client A client does not publish above the server's maximum QoS.
3.2.2-12 server A will beyond the server's maximum QoS is refused. -- Every QoS is supported.
3.2.2-13 server A retained will is refused where nothing can be retained. -- Retained messages are supported.
3.2.2-14 client A client does not retain where the server does not.
3.2.2-15 client A client sends nothing larger than the server's maximum packet size.
3.2.2-16 server An assigned client identifier is used by no other session.
3.2.2-17 client A client's topic aliases stay within the server's maximum.
3.2.2-18 client Without a topic alias maximum from the server a client uses none.
3.2.2-19 server A reason string never makes CONNACK larger than the client takes.
3.2.2-20 server User properties never make CONNACK larger than the client takes.
3.2.2-21 client A client uses the server's keep alive where there is one.
3.2.2-22 server Without a server keep alive, the client's counts.
3.3.1-1 both A PUBLISH that is sent again has DUP set.
3.3.1-2 both QoS 0 never has DUP set.
3.3.1-3 server DUP of what came in is not passed on to subscribers.
3.3.1-4 both There is no QoS 3.
3.3.1-5 server A message with retain takes the place of what was retained.
3.3.1-6 server An empty retained message is delivered and removes what was retained.
3.3.1-7 server An empty message is never retained.
3.3.1-8 server A message without retain changes nothing that is retained.
3.3.1-9 server Retain handling 0 sends what is retained.
3.3.1-10 server Retain handling 1 sends what is retained to new subscriptions only.
3.3.1-11 server Retain handling 2 sends nothing that is retained.
3.3.1-12 server Without retain as published, retain is clear in what is forwarded.
3.3.1-13 server With retain as published, retain is as it was published.
3.3.2-1 both The topic comes first in PUBLISH and is UTF-8.
3.3.2-2 both The topic of a PUBLISH has no wildcards.
3.3.2-3 server What a subscriber is sent matches its filter.
3.3.2-4 server The payload format indicator is passed on as it is.
3.3.2-5 server A message whose expiry interval is over is not delivered any more.
3.3.2-6 server The expiry interval is passed on less the time the message has waited.
3.3.2-7 both Topic aliases end with their connection.
3.3.2-8 both A topic alias is never 0.
3.3.2-9 client A client's topic aliases stay within the server's maximum.
3.3.2-10 client A client takes every alias up to its maximum.
3.3.2-11 server A server's topic aliases stay within the client's maximum.
3.3.2-12 server A server takes every alias up to its maximum.
3.3.2-13 both The response topic is UTF-8.
3.3.2-14 both The response topic has no wildcards.
3.3.2-15 server The response topic is passed on as it is.
3.3.2-16 server Correlation data is passed on as it is.
3.3.2-17 server User properties are passed on as they are.
3.3.2-18 server User properties keep their order.
3.3.2-19 both The content type is UTF-8.
3.3.2-20 server The content type is passed on as it is.
3.3.4-1 both A PUBLISH is answered as its QoS asks.
3.3.4-2 server Where subscriptions overlap, the highest QoS among them counts.
3.3.4-3 server The identifiers of overlapping subscriptions are sent with the message.
3.3.4-4 server A single copy has the identifiers of all subscriptions that match.
3.3.4-5 server Several copies have one identifier each. -- One copy is sent, whatever overlaps: see [MQTT5-3.3.4-4].
3.3.4-6 client A client's PUBLISH has no subscription identifier.
3.3.4-7 client A client has no more under way than the server's receive maximum.
3.3.4-8 client A client delays nothing but PUBLISH for the receive maximum.
3.3.4-9 server A server has no more under way than the client's receive maximum.
3.3.4-10 server A server delays nothing but PUBLISH for the receive maximum.
3.4.2-1 both PUBACK uses a reason code from its table.
3.4.2-2 both A reason string never makes PUBACK larger than the receiver takes.
3.4.2-3 both User properties never make PUBACK larger than the receiver takes.
3.5.2-1 both PUBREC uses a reason code from its table.
3.5.2-2 both A reason string never makes PUBREC larger than the receiver takes.
3.5.2-3 both User properties never make PUBREC larger than the receiver takes.
3.6.1-1 both The flags of PUBREL are 0010, or it is malformed.
3.6.2-1 both PUBREL uses a reason code from its table.
3.6.2-2 both A reason string never makes PUBREL larger than the receiver takes.
3.6.2-3 both User properties never make PUBREL larger than the receiver takes.
3.7.2-1 both PUBCOMP uses a reason code from its table.
3.7.2-2 both A reason string never makes PUBCOMP larger than the receiver takes.
3.7.2-3 both User properties never make PUBCOMP larger than the receiver takes.
3.8.1-1 both The flags of SUBSCRIBE are 0010, or it is malformed.
3.8.3-1 client Filters in SUBSCRIBE are UTF-8.
3.8.3-2 client SUBSCRIBE has at least one filter.
3.8.3-3 server With no local, a client does not get what it published itself.
3.8.3-4 client No local and a shared subscription do not go together.
3.8.3-5 server Reserved bits of the subscription options are 0, or SUBSCRIBE is malformed.
3.8.4-1 server SUBSCRIBE gets SUBACK.
3.8.4-2 server SUBACK has the identifier of its SUBSCRIBE.
3.8.4-3 server A filter subscribed to again replaces the subscription.
3.8.4-4 server With retain handling 0 that sends what is retained again, and no message is lost.
3.8.4-5 server Several filters in one SUBSCRIBE act like several SUBSCRIBE packets with one SUBACK.
3.8.4-6 server SUBACK has a reason code for each filter.
3.8.4-7 server Each is the granted QoS or says why not.
3.8.4-8 server A message is delivered with the lower of its QoS and the granted QoS.
3.9.2-1 server A reason string never makes SUBACK larger than the client takes.
3.9.2-2 server User properties never make SUBACK larger than the client takes.
3.9.3-1 server Reason codes in SUBACK are in the order of the filters.
3.9.3-2 server SUBACK uses reason codes from its table.
3.10.1-1 both The flags of UNSUBSCRIBE are 0010, or it is malformed.
3.10.3-1 client Filters in UNSUBSCRIBE are UTF-8.
3.10.3-2 client UNSUBSCRIBE has at least one filter.
3.10.4-1 server A filter in UNSUBSCRIBE ends the subscription with exactly that filter and no other.
3.10.4-2 server After UNSUBSCRIBE no new message is added for the client.
3.10.4-3 server What was begun at QoS 1 or 2 before UNSUBSCRIBE is completed.
3.10.4-4 server UNSUBSCRIBE gets UNSUBACK.
3.10.4-5 server UNSUBACK has the identifier of its UNSUBSCRIBE, even where nothing was subscribed.
3.10.4-6 server Several filters in one UNSUBSCRIBE get one UNSUBACK.
3.11.2-1 server A reason string never makes UNSUBACK larger than the client takes.
3.11.2-2 server User properties never make UNSUBACK larger than the client takes.
3.11.3-1 server Reason codes in UNSUBACK are in the order of the filters.
3.11.3-2 server UNSUBACK uses reason codes from its table.
3.12.4-1 server PINGREQ gets PINGRESP.
3.14.0-1 server No DISCONNECT goes out before a CONNACK that accepts.
3.14.1-1 both Reserved bits of DISCONNECT are 0, or it is answered with 0x81.
3.14.2-1 both DISCONNECT uses a reason code from its table.
3.14.2-2 server A server's DISCONNECT has no session expiry interval.
3.14.2-3 both A reason string never makes DISCONNECT larger than the receiver takes.
3.14.2-4 both User properties never make DISCONNECT larger than the receiver takes.
3.14.4-1 both Nothing is sent after DISCONNECT.
3.14.4-2 both The sender of DISCONNECT closes the connection.
3.14.4-3 server DISCONNECT with 0x00 discards the will.
3.15.1-1 both The flags of AUTH are 0, or it is malformed.
3.15.2-1 both AUTH uses a reason code from its table.
3.15.2-2 both A reason string never makes AUTH larger than the receiver takes.
3.15.2-3 both User properties never make AUTH larger than the receiver takes.
4.1.0-1 both Session state is not discarded while the connection is open.
4.1.0-2 server Session state is discarded when the connection is closed and the expiry interval is over.
4.2.0-1 both A transport is offered that is ordered and loses nothing.
4.3.1-1 both QoS 0 is sent with DUP clear.
4.3.2-1 both A QoS 1 sender uses an identifier that is free.
4.3.2-2 both It sends the message with DUP clear.
4.3.2-3 both It holds the message until PUBACK.
4.3.2-4 both A QoS 1 receiver answers PUBACK with the identifier.
4.3.2-5 both After PUBACK the identifier is a new message, whatever DUP says.
4.3.3-1 both A QoS 2 sender uses an identifier that is free.
4.3.3-2 both It sends the message with DUP clear.
4.3.3-3 both It holds the message until PUBREC.
4.3.3-4 both A PUBREC below 0x80 gets PUBREL with the identifier.
4.3.3-5 both PUBREL is held until PUBCOMP.
4.3.3-6 both After PUBREL the PUBLISH is not sent again.
4.3.3-7 both A message that was sent does not expire.
4.3.3-8 both A QoS 2 receiver answers PUBREC with the identifier.
4.3.3-9 both After a PUBREC of 0x80 or more the identifier is a new message.
4.3.3-10 both Until PUBREL, the same identifier gets PUBREC again and is not delivered again.
4.3.3-11 both PUBREL gets PUBCOMP with the identifier.
4.3.3-12 both After PUBCOMP the identifier is a new message.
4.3.3-13 both The handshake of QoS 2 goes on for a message that has expired.
4.4.0-1 both On reconnection, and only then, what was not acknowledged is sent again with its identifiers.
4.4.0-2 both PUBACK or PUBREC of 0x80 or more acknowledges: the message is not sent again.
4.5.0-1 server A message is added to the session of every client with a subscription that matches.
4.5.0-2 client A client acknowledges whatever it gets.
4.6.0-1 both PUBLISH packets are sent again in their first order.
4.6.0-2 both PUBACK packets are in the order of their PUBLISH packets.
4.6.0-3 both PUBREC packets are in the order of their PUBLISH packets.
4.6.0-4 both PUBREL packets are in the order of their PUBREC packets.
4.6.0-5 server Subscribers get the messages of one topic and QoS from one client in the order sent.
4.6.0-6 server Every topic keeps its order for subscriptions that are not shared.
4.7.0-1 both Wildcards are for filters, not for topics.
4.7.1-1 client "#" stands alone or behind "/", and is last.
4.7.1-2 client "+" fills a whole level.
4.7.2-1 server A filter that begins with a wildcard does not match a topic that begins with "$".
4.7.3-1 both Topics and filters have at least one character.
4.7.3-2 both Topics and filters have no U+0000.
4.7.3-3 both Topics and filters have at most 65,535 bytes.
4.7.3-4 server Matching normalises and replaces nothing.
4.8.2-1 client A shared filter begins with "$share/" and a name of at least one character.
4.8.2-2 client The name has no "/", "+" or "#"; "/" and a filter follow.
4.8.2-3 server A shared subscription's message respects the granted QoS of the client that gets it.
4.8.2-4 server A QoS 2 delivery begun to a member is completed with that member when it is back.
4.8.2-5 server If that member's session ends first, the message goes to no other member.
4.8.2-6 server A message that a member refuses with 0x80 or more goes to no other member.
4.9.0-1 both The send quota is at first above zero and at most the receive maximum.
4.9.0-2 both At a quota of zero no message with a QoS is sent.
4.9.0-3 both At a quota of zero all other packets are processed.
4.12.0-1 server An authentication method that is not supported closes the connection.
4.12.0-2 server The server's AUTH during authentication has 0x18.
4.12.0-3 client The client's AUTH during authentication has 0x18.
4.12.0-4 server Where authentication is refused, the connection is closed.
4.12.0-5 both AUTH and CONNACK carry the authentication method of the CONNECT.
4.12.0-6 server Without an authentication method in CONNECT there is neither AUTH nor a method in CONNACK.
4.12.0-7 client A client without an authentication method sends no AUTH.
4.12.1-1 client Authentication again uses the method of the CONNECT.
4.12.1-2 both Where authentication again fails, the connection is closed.
4.13.1-1 server An error that has a reason code closes the connection.
4.13.2-1 both A reason code of 0x80 or more in CONNACK or DISCONNECT closes the connection.
6.0.0-1 both Over WebSocket, a frame that is not binary closes the connection.
6.0.0-2 both WebSocket frames may hold parts of packets and several.
6.0.0-3 client The client offers the subprotocol "mqtt".
6.0.0-4 server The server chooses the subprotocol "mqtt".
`);
