// The stream of messages. A hidden page reads none, so that many open pages do not use up the connections that a
// browser has for one address; when it is shown again, it goes on after the last message.

let source = null;
let lastId = "";

export function followStream(onMessage, onState) {
  function open() {
    source = new EventSource(`/console/events?after=${encodeURIComponent(lastId)}`);
    source.onopen = () => onState(true);
    source.onerror = () => onState(false);
    source.onmessage = (event) => {
      lastId = event.lastEventId || lastId;
      onMessage(JSON.parse(event.data));
    };
  }
  function close() {
    source?.close();
    source = null;
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (source === null) open();
  });
  if (!document.hidden) open();
}
