/* What a person at a gate notices without looking: a sound and a vibration for each answer; and a screen that stays on. */
dtvn.gateSignals = (function () {
  "use strict";

  const { at } = dtvn.ui;
  const kept = dtvn.gateKept;
  const SOUND_KEY = "gate-sound";
  const TONES = { ok: [[880, 0, 0.12]], bad: [[220, 0, 0.18], [220, 0.26, 0.3]], warn: [[520, 0, 0.1], [390, 0.14, 0.1]] }; // [hertz, start, seconds]
  const VIBRATIONS = { ok: [120], bad: [500, 150, 500], warn: [90, 70, 90, 70, 90, 70, 90] }; // milliseconds on, off, on
  const LOUDNESS = 0.25;

  let context = null;
  let audible = kept.read(SOUND_KEY) === true;
  let scanning = false;
  let lock = null; // of the screen

  /* Give the signal of an answer: "ok", "bad" or "warn"; another tone has none. */
  function give(tone) {
    if (VIBRATIONS[tone]) {
      navigator.vibrate?.(VIBRATIONS[tone]);
    }
    if (audible && TONES[tone]) {
      play(TONES[tone]);
    }
  }

  function play(notes) {
    context ??= new AudioContext();
    context.resume();
    for (const [hertz, start, seconds] of notes) {
      const [voice, volume] = [context.createOscillator(), context.createGain()];
      voice.frequency.value = hertz;
      volume.gain.value = LOUDNESS;
      voice.connect(volume).connect(context.destination);
      voice.start(context.currentTime + start);
      voice.stop(context.currentTime + start + seconds);
    }
  }

  const drawSound = () => at("sound").setAttribute("aria-pressed", audible);

  at("sound").addEventListener("click", function () {
    audible = !audible;
    kept.write(SOUND_KEY, audible);
    drawSound();
    give("ok");
  });

  /* Whether the screen is to stay on; the browser switches that off whenever the page is hidden. */
  async function setScanning(isOn) {
    scanning = isOn;
    try {
      await lock?.release();
      lock = isOn ? await navigator.wakeLock?.request("screen") : null;
    } catch (error) {
      lock = null; // a low battery: the screen goes dark as it is set
    }
  }

  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && scanning && setScanning(true));
  drawSound();
  return { give, setScanning };
})();
