// A slider that plays by itself: Play goes on from where it stands (from the start at the end), Pause and a hand on the slider stop it.
export function player(slider, play, put, pause) {
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  slider.addEventListener("input", () => (stop(), put()));
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Pause";
    if (slider.value === slider.max) slider.value = 0;
    put();
    timer = setInterval(() => {
      if (slider.value === slider.max) return stop();
      slider.value = Number(slider.value) + 1;
      put();
    }, pause);
  });
  return stop;
}
