export { colourOf, inkOn } from "./colours.js";
export { type DrawOptions, drawObjects, type Pen } from "./objects.js";
