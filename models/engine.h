/* SPDX-License-Identifier: GPL-2.0-only */
/* What the engine offers to the verbs; models themselves stay with model.h. */
#ifndef UW_ENGINE_H
#define UW_ENGINE_H

#include "model.h"

/* The transfer has ended: it waits on the done list for the loop to pass it on. The first is for one in no queue. */
void uw_model_finish(struct uw_model *m, struct uw_transfer_io *io, uint32_t status);
void uw_model_finish_queued(struct uw_model *m, struct uw_transfer_io *io, uint32_t status);

/* Ends every transfer of an endpoint, or of all of them; what they moved so far counts. */
void uw_model_end_queue(struct uw_model *m, struct uw_model_ep *ep, uint32_t status);
void uw_model_end_all(struct uw_model *m, uint32_t status);

/* Passes one ended transfer to the host; false when there is none. */
bool uw_model_deliver(struct uw_model *m);

/* What the endpoint waits for may have changed: look again instead. */
void uw_model_look(struct uw_model *m, struct uw_model_ep *ep);

/* The moment the host was asked for has come. */
void uw_model_tick(struct uw_model *m);

#endif
