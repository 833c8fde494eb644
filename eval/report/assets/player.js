// Plays a segment of the video file of a card, beside its timeline.

let playing = null; // the card that plays; only one does

function play(view, card, { type, index }) {
  const address = view.model.media[card.v];
  if (!address) return;
  const table = type === "g" ? view.model.instances : view.model.detections;
  const start = Math.max(0, table.start[index]), end = Math.max(start, table.end[index]);
  if (playing && playing !== card && playing.video) playing.video.pause();
  playing = card;
  if (!card.video) openPlayer(view, card, address);
  card.segment = { start, end };
  card.caption.textContent = `${interval(start, end)} of ${view.model.videos.names[card.v]}`;
  const begin = () => {
    card.video.currentTime = start;
    card.video.play().catch(() => {}); // a failure to load is told by the error event
  };
  if (card.video.readyState >= 1) begin();
  else card.video.addEventListener("loadedmetadata", begin, { once: true });
}

function openPlayer(view, card, address) {
  const name = decodeURIComponent(address.split("/").pop());
  card.video = element("video", { controls: true, preload: "metadata", playsinline: true });
  card.video.setAttribute("aria-label", `Video ${view.model.videos.names[card.v]}`);
  card.caption = element("p");
  card.problem = element("p", { class: "problem", role: "alert" });
  card.problem.hidden = true;
  const close = element("button", { type: "button" }, "Close the video");
  close.addEventListener("click", () => { closePlayer(card); card.timeline.focus(); });
  card.video.addEventListener("error", () => {
    const code = card.video.error ? card.video.error.code : 0;
    card.problem.textContent = code === MediaError.MEDIA_ERR_DECODE
      ? `${name} is damaged, or this browser cannot decode all of it.`
      : `This browser cannot play ${name}: the file is not there any more, or the browser does not know its codec (H.264, VP8 and VP9 are known to most).`;
    card.problem.hidden = false;
    card.video.hidden = true;
  });
  card.video.addEventListener("play", () => requestAnimationFrame(() => followVideo(card)));
  card.video.addEventListener("seeked", () => movePlayhead(card));
  card.video.src = address;
  card.player = element("div", { class: "player" }, card.video, card.caption, card.problem, close);
  card.stage.append(card.player);
}

// Stops at the end of the segment, unless the user has moved out of it.
function followVideo(card) {
  const { video, segment } = card;
  if (!video || video.paused) return;
  movePlayhead(card);
  if (segment && video.currentTime >= segment.end) {
    card.segment = null;
    video.pause();
    video.currentTime = segment.end;
    return;
  }
  requestAnimationFrame(() => followVideo(card));
}

function movePlayhead(card) {
  if (!card.drawn || !card.video) return;
  const x = xOf(card, card.video.currentTime);
  card.playhead.setAttribute("visibility", "visible");
  card.playhead.setAttribute("x1", x);
  card.playhead.setAttribute("x2", x);
}

function closePlayer(card) {
  if (!card.video) return;
  card.video.pause();
  card.video.removeAttribute("src");
  card.player.remove();
  card.video = card.player = null;
  if (playing === card) playing = null;
  if (card.playhead) card.playhead.setAttribute("visibility", "hidden");
}
