// ------------------------------------------------------------------ how photos come in
// `addPhotos` of the page takes the files.

for (const id of ["files", "capture"])
  place(id).addEventListener("change", ({ target }) => {
    addPhotos(target.files);
    target.value = ""; // so that the same photo can be chosen again
  });

addEventListener("paste", (event) => addPhotos(event.clipboardData.files));
addEventListener("dragover", (event) => {
  event.preventDefault();
  place("chooser").classList.add("over");
});
addEventListener("dragleave", (event) => event.relatedTarget || place("chooser").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  place("chooser").classList.remove("over");
  addDropped(event.dataTransfer);
});

// A dropped folder is gone through; what is no image in it is left out.
async function addDropped(dropped) {
  const files = [...dropped.files];
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
  if (!entries.some((entry) => entry && entry.isDirectory)) return addPhotos(files);
  const found = await Promise.all(entries.map((entry, at) => (entry.isDirectory ? filesBelow(entry) : [files[at]])));
  addPhotos(found.flat());
}

async function filesBelow(folder) {
  const reader = folder.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
    if (!some.length) return found;
    for (const entry of some)
      if (entry.isDirectory) found.push(...(await filesBelow(entry)));
      else {
        const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
        if (file.type.startsWith("image/")) found.push(file);
      }
  }
}

// ------------------------------------------------------------------ the camera

function closeCamera() {
  const video = place("video");
  if (video.srcObject) for (const track of video.srcObject.getTracks()) track.stop();
  video.srcObject = null;
  place("camera").hidden = true;
  place("open-camera").hidden = false;
}

async function openCamera() {
  // A phone's own camera app takes better photos than a page does.
  const isPhone = matchMedia("(pointer: coarse)").matches;
  if (isPhone || !navigator.mediaDevices) return place("capture").click();
  const video = place("video");
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    place("camera").hidden = false;
    place("open-camera").hidden = true;
    await video.play();
    place("take").focus();
  } catch {
    closeCamera();
    say("No camera can be used here: choose photos instead.");
  }
}

place("open-camera").addEventListener("click", openCamera);
place("close-camera").addEventListener("click", () => {
  closeCamera();
  place("open-camera").focus();
});
place("take").addEventListener("click", () => {
  const video = place("video");
  if (!video.videoWidth) return;
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const name = `Camera ${new Date().toLocaleTimeString("en-GB")}`;
  canvas.toBlob((blob) => addPhotos([new File([blob], name, { type: "image/png" })]), "image/png");
});
