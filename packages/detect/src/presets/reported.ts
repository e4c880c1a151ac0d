/** AP on COCO that others report for a preset's settings, and what was measured with this software. */
export interface ReportedAp {
  /** The paper: its Figure 1 (minival, read from the picture to about 0.03), its text and Table 3 (test-dev). */
  readonly paper?: number;
  /** The authors, of the weights that they published with their code (val2017), or in its discussions. */
  readonly release?: number;
  /** Measured here, with its log in docs/results. */
  readonly here?: number;
}

export const reportedAp: Readonly<Record<string, ReportedAp>> = {
  retinanet_r50_fpn_1x: { paper: 35.7 },
  retinanet_r50_pconv_1x: { release: 37.0 },
  "retinanet_r50_pconv-ibn_1x": { release: 37.8 },
  "retinanet_r50_sepc-lite_1x": { paper: 38.8, release: 38.5 },
  retinanet_r50_sepc_1x: { release: 39.6 },
  fcos_r50_fpn_1x: { paper: 35.7 },
  "fcos_r50_sepc-lite_1x": { paper: 38.3 },
  fsaf_r50_fpn_1x: { paper: 36.9, release: 36.8 },
  fsaf_r50_pconv_1x: { release: 38.6 },
  "fsaf_r50_pconv-ibn_1x": { release: 39.1 },
  "fsaf_r50_sepc-lite_1x": { paper: 40.7, release: 40.5 },
  fsaf_r50_sepc_1x: { release: 41.6 },
  "fsaf_x101-64x4d_fpn_2x": { release: 44.1 },
  "fsaf_x101-64x4d_sepc_2x": { release: 46.5 },
  freeanchor_r50_fpn_1x: { paper: 38.5 },
  freeanchor_r50_pconv_1x: { release: 39.7 },
  "freeanchor_r50_pconv-ibn_1x": { release: 41.0 },
  "freeanchor_r50_sepc-lite_1x": { paper: 41.7, release: 41.9 },
  freeanchor_r50_sepc_1x: { release: 43.0 },
  "freeanchor_x101-64x4d_fpn_2x": { release: 44.9 },
  "freeanchor_x101-64x4d_sepc_2x": { paper: 47.7 },
  "freeanchor_x101-64x4d-dcn_sepc_2x": { paper: 50.1 },
  reppoints_r50_fpn_1x: { paper: 38.2 },
  "reppoints_r50_sepc-lite_1x": { paper: 40.3 },
};
