"""People say what sounds when, helped by machines; everything between a clip and its accepted labels. Start here.

    avis-data annotate install   serve/label_studio_install.py
    avis-data annotate serve     serve/servers.py          starts Label Studio and the segmenter
    avis-data annotate push      work/push_draft.py        draft_plan.py says who labels what; push.py brings it
    avis-data annotate pull      work/pull.py              labelstudio/annotations.py reads what people said
    avis-data annotate status    work/project_status.py
    avis-data propagate          propagation/
    avis-data review start       work/review_start.py      review_plan.py says who reviews or mends what
    avis-data review status      labels/workspace_labels.py
    avis-data review history     work/history.py           labels/changes.py
    avis-data review close       work/close_round.py
    avis-data review assign      work/lead.py              and reopen, settle, comment
    avis-data labels             labels/kept_repairs.py    repair.py does it
    avis-data problems           problems/collect.py       label_errors.py ranks tracks
    avis-data agreement          agreement/report.py

A mask, from the click to the export:

    click  ->  serve/segmenter_app.py, click_answer.py  ->  labels/made_masks.py   which engine made it
           ->  the page of Label Studio              ->  work/pull.py           annotations/<round>/received
           ->  labelstudio/annotations.py            ->  labels/store.py        annotations/<round>/labelled
           ->  labels/rounds.py  accepted?           ->  labels/tables.py       the masks table, current.json

Rooms, and what they may know:

    labels/        what people said, and where every clip stands: records, files, one object over them. Knows no server.
    labelstudio/   all that knows Label Studio: its calls, its page, its regions. Knows labels/ only.
    work/          push, pull, review: what goes between the two
    agreement/     how far two people say the same. Knows labels/ only.
    problems/      what needs a look, worst first. Knows labels/ and agreement/ only.
    segmenters/    engines that turn a click into a mask. Know nothing of the other rooms.
    propagation/   engines that carry a mask through a video. Knows labels/ and segmenters/.
    prelabel/      what machines alone make of a clip. Knows labels/, segmenters/ and propagation/.
    serve/         starts the servers, and is the service that Label Studio asks for masks
"""
