"""All that is looked at: HTML pages, contact sheets, plots and videos.

`dataset` is the page of `avis-data report`, `model` its part about a model; `errors` the page of `avis-data evaluate
--errors`; `agreement` that of `avis-data agreement`, made of the plain data in `agreement_figures`. `html` makes every
page, `curves` its charts; `clips` says what is shown of a clip, `sheet` draws it on one picture, `render` as a video.

A page is made of plain data or of files of the dataset. Nothing here knows workspaces, labels, networks or training,
and nothing that measures (`metrics`, `quality`) knows of pages.
"""
