// The page of the demo: shows the state of the gateway twice a second, and does what the buttons say.
"use strict";

const POLL = 500;
const SHOWN_DECISIONS = 8;
const NAMES = { a: "Visitor A", b: "Visitor B", crowd: "Crowd" };
const COUNTERS = [
  ["new", "sessions begun"],
  ["resumed", "requests of live sessions"],
  ["refreshed", "cookies renewed"],
  ["moved", "sessions moved to another pod"],
  ["expiredIdle", "ended by the idle timeout"],
  ["expiredAbsolute", "ended by the absolute timeout"],
];

const byId = (id) => document.getElementById(id);

// Only what differs is written, so that screen readers and selections are left in peace.
const write = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

const element = (name, className, text = "") => {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
};

const say = (text) => write(byId("status"), text);

// --- What the buttons do ---------------------------------------------------------------------------------------------

const act = async (path, fields) => {
  const response = await fetch(`/api/${path}?${new URLSearchParams(fields)}`, {
    method: "POST",
    headers: { "x-mooring-demo": "page" },
  });
  if (!response.ok) throw new Error(await response.text());
  const outcome = await response.json();
  await refresh();
  return outcome;
};

// Runs what a control is for; the control rests meanwhile, and a refusal is told.
const run = async (control, action) => {
  control.setAttribute("aria-busy", "true");
  try {
    await action();
  } catch (error) {
    say(error.message);
  } finally {
    control.removeAttribute("aria-busy");
  }
};

// The pod that answered each visitor last, as the page shows it.
const lastPod = {};

const visit = async (who, times) => {
  const before = lastPod[who];
  const { answers } = await act("visit", { who, times });
  const last = answers.at(-1);
  const pods = [...new Set(answers.map((answer) => answer.pod ?? `no pod (status ${answer.status})`))];
  const visits = times === 1 ? "1 visit" : `${times} visits`;
  let text = `${NAMES[who]}: ${visits}, answered by ${pods.join(", ")}.`;
  if (before && before !== last.pod) text += ` Before, ${before} did.`;
  say(text);
};

let weightTimer;

// Sliders fire while they move. The last position counts.
const chooseWeights = (first) => {
  showWeights([first, 100 - first]);
  clearTimeout(weightTimer);
  const timer = setTimeout(async () => {
    await run(byId("weight-v1"), async () => {
      await act("weights", { v1: first, v2: 100 - first });
      say(`New sessions: ${first} % to v1, ${100 - first} % to v2. Sessions that are there stay.`);
    });
    if (weightTimer === timer) weightTimer = undefined;
  }, 250);
  weightTimer = timer;
};

const showWeights = ([first, second]) => {
  for (const [version, weight] of [["v1", first], ["v2", second]]) {
    byId(`weight-${version}`).value = weight;
    write(byId(`weight-${version}-shown`), `${weight} %`);
  }
};

const onCard = (who, card) => {
  card.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    run(button, async () => {
      if (button.dataset.action === "visit") return visit(who, Number(button.dataset.times));
      await act("forget", { who });
      say(`${NAMES[who]} has an empty cookie jar. The next visit begins a new session.`);
    });
  });
  card.addEventListener("change", (event) => {
    if (event.target.dataset.action !== "tester") return;
    const on = event.target.checked;
    run(event.target, async () => {
      await act("tester", { who, on });
      say(on ? `${NAMES[who]} now sends x-canary: always.` : `${NAMES[who]} no longer asks for the canary.`);
    });
  });
};

const onPods = (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const running = button.dataset.running !== "true";
  run(button, async () => {
    await act("pod", { name: button.dataset.pod, running });
    say(running ? `Pod ${button.dataset.pod} is back.` : `Pod ${button.dataset.pod} has ended. Its sessions move at their next visit.`);
  });
};

const everySecond = () => {
  for (const [who, card] of Object.entries(cards)) {
    const often = card.querySelector('[data-action="often"]');
    // Not said aloud each second.
    if (often.checked) act("visit", { who, times: 1 }).catch(() => {});
  }
};

// --- What is shown ---------------------------------------------------------------------------------------------------

const cards = {};

const makeCard = (who) => {
  const card = byId("visitor-card").content.firstElementChild.cloneNode(true);
  card.id = `visitor-${who}`;
  write(card.querySelector("h3"), NAMES[who]);
  for (const control of card.querySelectorAll("button")) control.setAttribute("aria-label", `${NAMES[who]}: ${control.textContent}`);
  for (const [kind, bar] of [["idle", "Idle timeout"], ["absolute", "Absolute timeout"]])
    card.querySelector(`.${kind} progress`).setAttribute("aria-label", `${NAMES[who]}: ${bar}, what is left`);
  for (const box of card.querySelectorAll("input")) box.setAttribute("aria-label", `${NAMES[who]}: ${box.nextElementSibling.textContent}`);
  onCard(who, card);
  byId("visitor-cards").append(card);
  cards[who] = card;
};

// `store-v1-2` is of version v1.
const versionOf = (pod) => /-(v\d+)-\d+$/.exec(pod ?? "")?.[1] ?? "none";
const shortName = (pod) => pod?.replace("store-", "") ?? "error";

const minutes = (whole) => `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
const duration = (seconds) => (seconds < 60 ? `${seconds} s` : `${minutes(seconds)} min`);

const showTimeout = (card, kind, left, limit) => {
  const bar = card.querySelector(`.${kind}`);
  const rest = left === undefined ? 0 : Math.min(Math.max(left, 0), limit);
  bar.querySelector("progress").value = rest / limit;
  const whole = Math.ceil(rest);
  let text = `${limit < 60 ? whole : minutes(whole)} of ${duration(limit)} left`;
  if (left === undefined) text = duration(limit);
  else if (left <= 0) text = "over";
  write(bar.querySelector("b"), text);
  bar.classList.toggle("over", left !== undefined && left <= 0);
};

const showTrail = (list, trail) => {
  const key = trail.map((answer) => `${answer.pod} ${answer.status} ${answer.cookie}`).join();
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...trail.map((answer) => {
    const mark = element("li", versionOf(answer.pod), answer.pod ? shortName(answer.pod) : String(answer.status || "error"));
    if (answer.cookie) mark.classList.add("set");
    mark.title = `${answer.pod ?? "no pod"}, status ${answer.status}${answer.cookie ? ", with a new cookie" : ""}`;
    return mark;
  }));
};

const showVisitor = (visit, state) => {
  const card = cards[visit.id];
  const last = visit.trail.at(-1);
  lastPod[visit.id] = last?.pod;
  const place = card.querySelector(".place");
  write(place, last ? last.pod ?? `status ${last.status}` : "not here yet");
  place.className = `place ${versionOf(last?.pod)}`;
  card.querySelector('[data-action="tester"]').checked = visit.tester;
  showTrail(card.querySelector(".trail"), visit.trail);
  const cookie = card.querySelector(".cookie");
  const bound = state.pods.find((pod) => pod.address === visit.session?.host);
  const value = visit.cookie && `${visit.cookie.slice(0, 12)}…${visit.cookie.slice(-8)}`;
  write(cookie, visit.cookie
    ? `store-session=${value} is sealed. Inside: backend ${visit.session?.backend ?? "?"}, pod ${bound?.name ?? "?"}.`
    : "No session cookie yet.");
  const { idle, absolute } = state.timeouts;
  const left = (end) => (visit.session ? end(visit.session) - state.now : undefined);
  // The gateway counts whole seconds, and a session that was idle for exactly the timeout is still live.
  showTimeout(card, "idle", left(({ seen }) => seen + idle + 1), idle);
  showTimeout(card, "absolute", left(({ issued }) => issued + absolute), absolute);
  const line = state.latest[visit.id];
  write(card.querySelector(".why"), line ? explain(line) : "The gateway's reason appears here.");
  write(card.querySelector(".raw"), line?.decision ?? "");
};

// The fields of `rule=…;reason=…;backend=…;session=…;age=…`.
const fieldsOf = (decision) => Object.fromEntries((decision ?? "").split(";").map((field) => field.split(/=(.*)/s)));

const REASONS = {
  session: "The cookie named this version.",
  split: "The weights chose this version.",
  single: "The rule has one backend.",
  failover: "The version of the session has no healthy pod, so the weights chose.",
};
const SESSIONS = {
  new: "A new session begins.",
  resumed: "The session goes on.",
  refreshed: "The session goes on, and the cookie is renewed.",
  moved: "The pod was gone, so the session moved and the cookie is new.",
  "failed-over": "The session moved to the other version, and the cookie is new.",
  "expired-idle": "The session had been idle for too long, so a new one begins.",
  "expired-absolute": "The session had reached its greatest age, so a new one begins.",
};

const explain = (line) => {
  if (!line.decision) return "";
  const { reason = "", session = "", age = "-" } = fieldsOf(line.decision);
  const why = reason.startsWith("canary:")
    ? `The rule “${reason.slice("canary:".length)}” chose this version, before session and weights.`
    : REASONS[reason] ?? `Reason: ${reason || "unknown"}.`;
  const stays = reason.startsWith("canary:") && ["resumed", "refreshed"].includes(session);
  const what = stays
    ? "The session itself stays with its pod."
    : SESSIONS[session] ?? (session === "none" ? "" : `Session: ${session}.`);
  const old = age === "-" || session.startsWith("expired") ? "" : ` Its age is ${duration(Number(age))}.`;
  return `${why} ${what}${what ? old : ""}`.trim();
};

// The newest first. Lines in a row that say the same are one, with their number.
const groupsOf = (lines) => {
  const groups = [];
  for (const line of lines.toReversed()) {
    const same = [line.who, line.host, line.status, explain({ decision: line.decision?.replace(/;age=.*/, "") })].join();
    if (groups.at(-1)?.same === same) groups.at(-1).times += 1;
    else groups.push({ line, same, times: 1 });
  }
  return groups.slice(0, SHOWN_DECISIONS);
};

const showDecisions = (state) => {
  const withCrowd = byId("with-crowd").checked;
  const lines = state.decisions.filter((line) => withCrowd || line.who !== "crowd");
  const list = byId("decisions");
  byId("no-decisions").hidden = lines.length > 0;
  const key = lines.map((line) => line.number).join();
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...groupsOf(lines).map(({ line, times }) => {
    const row = element("li", "");
    const head = element("p", "head");
    const at = new Date(Number(line.at) * 1000).toLocaleTimeString();
    head.append(element("span", "time", at), element("b", "", NAMES[line.who] ?? line.who ?? "Another client"),
      element("span", `place ${versionOf(line.host)}`, line.host ?? `status ${line.status}`));
    if (times > 1) head.append(element("span", "small", `${times} times`));
    row.append(head, element("p", "", explain(line)), element("p", "raw small", line.decision ?? ""));
    return row;
  }));
};

const showShare = (id, title, shares) => {
  const total = shares.v1 + shares.v2;
  const percent = total ? Math.round((100 * shares.v2) / total) : 0;
  write(byId(`${id}-title`), total ? `${title}: ${100 - percent} % v1, ${percent} % v2` : `${title}: none yet`);
  const [first, second] = byId(id).children;
  first.style.flexGrow = shares.v1;
  second.style.flexGrow = shares.v2;
};

const makeVersion = (version) => {
  const group = element("div", `version ${version}`);
  group.id = `version-${version}`;
  group.append(element("h3", ""), element("div", "tiles"));
  byId("versions").append(group);
  return group;
};

const makeTile = (pod) => {
  const tile = element("div", "card tile");
  tile.id = `pod-${pod.name}`;
  const button = element("button", "");
  button.type = "button";
  button.dataset.pod = pod.name;
  tile.append(element("p", "name", pod.name), element("p", "count"), element("p", "small state"), element("p", "guests"), button);
  byId(`version-${pod.version}`).querySelector(".tiles").append(tile);
  return tile;
};

const showPods = (state) => {
  const total = state.pods.reduce((sum, pod) => sum + pod.requests, 0);
  for (const version of ["v1", "v2"]) {
    const group = byId(`version-${version}`) ?? makeVersion(version);
    const requests = state.pods.filter((pod) => pod.version === version).reduce((sum, pod) => sum + pod.requests, 0);
    const share = total ? Math.round((100 * requests) / total) : 0;
    write(group.querySelector("h3"), `Version ${version}: ${requests} requests, ${share} %`);
  }
  for (const pod of state.pods) {
    const tile = byId(`pod-${pod.name}`) ?? makeTile(pod);
    tile.classList.toggle("ended", !pod.running);
    write(tile.querySelector(".count"), String(pod.requests));
    write(tile.querySelector(".state"), pod.running ? "requests" : "requests, has ended");
    const guests = state.visitors.filter((visit) => visit.session?.host === pod.address).map((visit) => NAMES[visit.id]);
    write(tile.querySelector(".guests"), guests.join(", "));
    const button = tile.querySelector("button");
    button.dataset.running = pod.running;
    write(button, pod.running ? "End" : "Bring back");
    button.setAttribute("aria-label", `${pod.running ? "End" : "Bring back"} pod ${pod.name}`);
  }
};

const showCounters = (counters) => {
  const list = byId("counters");
  if (!list.children.length)
    list.append(...COUNTERS.map(([name, meaning]) => {
      const item = element("div", "card");
      const value = element("dd", "");
      value.id = `counter-${name}`;
      item.append(element("dt", "small", meaning), value);
      return item;
    }));
  for (const [name] of COUNTERS) write(byId(`counter-${name}`), String(counters[name]));
};

const show = (state) => {
  write(byId("envoy"), `Envoy ${state.envoy}, live`);
  state.visitors.forEach((visit) => showVisitor(visit, state));
  if (weightTimer === undefined && !state.busy) showWeights(state.weights);
  write(byId("configuration"), state.busy
    ? "Envoy is taking the new configuration …"
    : `Envoy works with configuration ${state.configurations}.`);
  showShare("share-new", "Newcomers", state.crowd.new);
  showShare("share-regular", "Visitors with a session", state.crowd.regular);
  byId("crowd").checked = state.crowd.on;
  showPods(state);
  showDecisions(state);
  showCounters(state.counters);
  write(byId("curl"), `curl -v http://${state.gateway}/`);
  write(byId("manifests"), state.manifests);
};

const refresh = async () => {
  const response = await fetch("/api/state");
  show(await response.json());
};

const poll = async () => {
  try {
    await refresh();
    document.body.classList.remove("stopped");
    setTimeout(poll, POLL);
  } catch {
    write(byId("envoy"), "The demo has stopped");
    document.body.classList.add("stopped");
    setTimeout(poll, 5 * POLL);
  }
};

["a", "b"].forEach(makeCard);
byId("versions").addEventListener("click", onPods);
for (const slider of document.querySelectorAll("input[type=range]"))
  slider.addEventListener("input", () => {
    const weight = Number(slider.value);
    chooseWeights(slider.dataset.version === "v1" ? weight : 100 - weight);
  });
for (const button of document.querySelectorAll("[data-weights]"))
  button.addEventListener("click", () => chooseWeights(Number(button.dataset.weights)));
byId("crowd").addEventListener("change", (event) => run(event.target, () => act("crowd", { on: event.target.checked })));
byId("with-crowd").addEventListener("change", () => refresh());
setInterval(everySecond, 1000);
poll();
