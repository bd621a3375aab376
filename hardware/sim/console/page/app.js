// Connects the parts of the page with the stream of messages; hardware/sim/console/view.py describes the messages.

import { byId, announce } from "./dom.js";
import { resetCallbacks, updateCallbacks } from "./callbacks.js";
import { connectClock, setClock } from "./clock.js";
import { resetCommands, showCommandsOf, updateCommands } from "./commands.js";
import { showConnection } from "./connect.js";
import { addEvents, resetEvents } from "./events.js";
import { connectFaultForm, showFaults } from "./faults.js";
import { addOctets, connectPortControls, resetPorts, showPort } from "./port.js";
import { connectSendForm } from "./send.js";
import { connectSimControls, findSim, updateSims } from "./sims.js";
import { followStream } from "./stream.js";

function receive(message) {
  if (message.reset) {
    resetCommands(message.clock.now);
    resetPorts();
    resetCallbacks();
    resetEvents();
    showConnection();
  }
  setClock(message.clock);
  updateSims(message);
  showFaults();
  updateCommands(message);
  if (message.steps) addEvents(message.steps);
  if (message.port) addOctets(message.port);
  if (message.callbacks) updateCallbacks(message.callbacks);
  showPortHint();
}

function showState(isConnected) {
  const node = byId("connection");
  node.textContent = isConnected ? "live" : "not connected";
  node.classList.toggle("off", !isConnected);
  if (!isConnected) announce("The sandbox does not answer; the page connects again by itself.");
}

function showPortHint() {
  const sim = findSim(byId("port-sim").value);
  byId("port-hint").textContent = sim && !sim.port_open ? "No program has this port open." : "";
}

connectPortControls();
byId("commands-sim").addEventListener("change", (event) => showCommandsOf(event.target.value));
byId("port-sim").addEventListener("change", (event) => {
  showPort(event.target.value);
  showPortHint();
});
connectSendForm();
connectSimControls();
connectFaultForm();
connectClock();
followStream(receive, showState);
